//! The target of a request (RFC 9112 section 3.2) to its path and its query, percent-decoded.
//!
//! The path is decoded before anybody splits it, as Nginx does, so `%2F` is a slash: a name with a slash in it is then a bad
//! name, not another path. Dot segments are not resolved: no path of ours has any, and `..` is no app.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use memchr::{memchr, memchr3};

use super::{Bad, Method};

/// A key and its value.
pub type Pair<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// The decoded path of a target, in which there are no spaces and no control characters (the syntax of a request has no room for
/// them), and its query as it is. `*` (the server itself) is given back as it is.
///
/// # Errors
/// `Target` if it has none of the forms its method allows, or is not ASCII; `Host` if an absolute form names no sound host;
/// `Connect` for the authority form, since we are no proxy.
pub fn parts(method: Method, target: &str) -> Result<(Cow<'_, [u8]>, &str), Bad> {
    // Bytes other than ASCII have to be percent-encoded (RFC 3986 section 2).
    if !target.is_ascii() {
        return Err(Bad::Target);
    }
    // A probe asks for a plain path.
    if method != Method::Connect && target.starts_with('/') && memchr3(b'?', b'#', b'%', target.as_bytes()).is_none() {
        return Ok((Cow::Borrowed(target.as_bytes()), ""));
    }
    // A fragment is never sent (RFC 9110 section 4.2.5).
    if memchr(b'#', target.as_bytes()).is_some() {
        return Err(Bad::Target);
    }
    match method {
        Method::Connect => return Err(Bad::Connect),
        Method::Options if target == "*" => return Ok((Cow::Borrowed(b"*"), "")),
        Method::Get | Method::Head | Method::Options | Method::Other => {}
    }
    let origin = if target.starts_with('/') { target } else { origin_form(target)? };
    let (path, query) = match memchr(b'?', origin.as_bytes()) {
        Some(at) => (origin.get(..at).unwrap_or_default(), origin.get(at.saturating_add(1)..).unwrap_or_default()),
        None => (origin, ""),
    };
    // An absolute form may end after its host.
    Ok((decode(if path.is_empty() { b"/" } else { path.as_bytes() })?, query))
}

/// The pairs of a query, `a=b&c`, decoded after they were parted. None: that pair is badly encoded.
pub fn pairs(query: &str) -> impl Iterator<Item = Option<Pair<'_>>> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decode(key.as_bytes()).ok()?, decode(value.as_bytes()).ok()?))
    })
}

/// What an absolute form (a MUST for servers) says behind its host. Which host that is makes no difference to us; but https is to be
/// refused where nothing is secured (RFC 9110 section 7.4).
fn origin_form(target: &str) -> Result<&str, Bad> {
    let (scheme, rest) = target.split_once("://").ok_or(Bad::Target)?;
    if !scheme.eq_ignore_ascii_case("http") {
        return Err(Bad::Target);
    }
    let (authority, origin) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    // An empty host is invalid in an http URI (RFC 9110 section 4.2.1), though not in a Host field.
    if authority.is_empty() || authority.starts_with(':') || !is_host(authority.as_bytes()) {
        return Err(Bad::Host);
    }
    Ok(origin)
}

fn decode(path: &[u8]) -> Result<Cow<'_, [u8]>, Bad> {
    if memchr(b'%', path).is_none() {
        return Ok(Cow::Borrowed(path));
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.iter();
    while let Some(&byte) = rest.next() {
        decoded.push(match byte {
            b'%' => digit(rest.next())? << 4 | digit(rest.next())?,
            other => other,
        });
    }
    Ok(Cow::Owned(decoded))
}

fn digit(byte: Option<&u8>) -> Result<u8, Bad> {
    match byte {
        Some(digit @ b'0'..=b'9') => Ok(digit & 0x0f),
        Some(letter @ (b'a'..=b'f' | b'A'..=b'F')) => Ok((letter & 0x0f).wrapping_add(9)),
        _ => Err(Bad::Target),
    }
}

/// Whether this can be the value of a Host field: `uri-host [ ":" port ]` (RFC 9110 section 7.2), which may be empty.
pub(super) fn is_host(value: &[u8]) -> bool {
    let port = if let Some(literal) = value.strip_prefix(b"[") {
        // Who does not know the version of another literal refuses it (RFC 3986 section 3.2.2).
        match split_where(literal, |byte| byte == b']') {
            (address, [_, port @ ..]) if is_ipv6(address) => port,
            _ => return false,
        }
    } else {
        let mut rest = split_where(value, ends_name).1;
        while let [b'%', first, second, behind @ ..] = rest
            && first.is_ascii_hexdigit()
            && second.is_ascii_hexdigit()
        {
            rest = split_where(behind, ends_name).1;
        }
        rest
    };
    match port {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Whether a byte is neither unreserved nor one of the sub-delims of RFC 3986 section 3.2.2.
fn ends_name(byte: u8) -> bool {
    !byte.is_ascii_alphanumeric()
        && !matches!(byte, b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
}

fn is_ipv6(address: &[u8]) -> bool {
    std::str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// What is before the first such byte, and the rest.
fn split_where(bytes: &[u8], ends: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().position(|&byte| ends(byte)).unwrap_or(bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_a_target_has_one_path() {
        let get = Method::Get;
        let cases: &[(Method, &str, Result<&str, Bad>)] = &[
            (get, "/", Ok("/")),
            (get, "/a/b", Ok("/a/b")),
            (get, "/a?b=/c", Ok("/a")),
            (get, "/a?", Ok("/a")),
            (get, "/a?b?c#d", Err(Bad::Target)),
            (get, "/a#b", Err(Bad::Target)),
            (get, "/%61%2Fb%2f", Ok("/a/b/")),
            (get, "/%E4%BD%A0", Ok("/\u{4f60}")),
            (get, "/a%", Err(Bad::Target)),
            (get, "/a%4", Err(Bad::Target)),
            (get, "/a%4g", Err(Bad::Target)),
            (get, "/a%%41", Err(Bad::Target)),
            (get, "/a?%", Ok("/a")),
            (get, "/\u{e4}", Err(Bad::Target)),
            (get, "/a/../b", Ok("/a/../b")),
            (get, "//a", Ok("//a")),
            (get, "http://host/a", Ok("/a")),
            (get, "HTTP://host:80/a?b", Ok("/a")),
            (get, "http://[::1]:8080/a", Ok("/a")),
            (get, "http://host", Ok("/")),
            (get, "http://host?a", Ok("/")),
            (get, "http:///a", Err(Bad::Host)),
            (get, "http://:80/a", Err(Bad::Host)),
            (get, "http://user@host/a", Err(Bad::Host)),
            (get, "https://host/a", Err(Bad::Target)),
            (get, "ftp://host/a", Err(Bad::Target)),
            (get, "a", Err(Bad::Target)),
            (get, "host:80", Err(Bad::Target)),
            (get, "*", Err(Bad::Target)),
            (Method::Options, "*", Ok("*")),
            (Method::Options, "**", Err(Bad::Target)),
            (Method::Head, "*", Err(Bad::Target)),
            (Method::Connect, "host:80", Err(Bad::Connect)),
            (Method::Connect, "/", Err(Bad::Connect)),
        ];
        for (method, target, want) in cases {
            let got = parts(*method, target).map(|(path, _)| path.into_owned());
            assert_eq!(got, want.map(|path| path.as_bytes().to_vec()), "{target}");
        }
    }

    #[test]
    fn a_query_is_parted_before_it_is_decoded() {
        let query = |target: &'static str| parts(Method::Get, target).unwrap().1;
        assert_eq!(query("/a?b=/c?d&e"), "b=/c?d&e");
        assert_eq!(query("http://host?a"), "a");
        assert_eq!(query("/a"), "");
        let text = |bytes: Cow<'_, [u8]>| String::from_utf8(bytes.into_owned()).unwrap();
        let read = |query| pairs(query).map(|pair| pair.map(|(key, value)| (text(key), text(value)))).collect::<Vec<_>>();
        let pair = |key: &str, value: &str| Some((key.to_owned(), value.to_owned()));
        assert_eq!(read(""), []);
        assert_eq!(read("all=true&&x"), [pair("all", "true"), pair("x", "")]);
        assert_eq!(read("a%3D%26=b%2Cc=d"), [pair("a=&", "b,c=d")]);
        assert_eq!(read("a=%4&b"), [None, pair("b", "")]);
    }

    #[test]
    fn a_host_is_a_name_or_an_address_with_perhaps_a_port() {
        for good in ["", "a", "a.b:80", "127.0.0.1", "[::1]", "[::1]:80", "[::ffff:1.2.3.4]:", "a:", "%41", "a%2Db%5f:1", "bk_iam-1"] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in [
            "a b",
            "a:b",
            "a:80:80",
            "[::1",
            "[]",
            "[::1]80",
            "[g]",
            "::1",
            "a/b",
            "a@b",
            "a,b/",
            "\u{e4}",
            "a\0",
            "[a]b",
            "%",
            "a%4",
            "%zz",
            "a%41%4g",
            "[:::1]",
            "[1:2:3]",
            "[1.2.3.4]",
            "[v1.a]",
            "[::1%25lo]",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }
}
