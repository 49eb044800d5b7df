//! Chunked framing to body bytes (RFC 9112 section 7.1).
//!
//! A machine of one byte at a time, but for the data, which is handed on as it lies. A border of a chunk can fall anywhere,
//! also inside what the chunks carry, so nobody behind this file may care where the borders are.

use super::response::Broken;
use crate::limits;

/// One chunked body on its way.
///
/// ```text
///            size digits             CRLF          left = 0
///   Size -----------------> Line -----------> Data ---------> DataEnd --> Size
///                             | size 0                          CRLF
///                             v
///                          Trailer  -- lines until an empty one --> Done
/// ```
#[derive(Debug)]
pub struct Chunked {
    state: State,
    /// Of the chunk whose size is being read.
    size: u64,
    digits: u8,
    /// Bytes of framing since the last data.
    line: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    /// Spaces behind a size, with which old servers fill up their lines.
    Padding,
    /// The rest of a size line: extensions, which nobody uses.
    Extension,
    SizeLineFeed,
    Data(u64),
    DataReturn,
    DataLineFeed,
    /// At the start of a trailer line.
    Trailer,
    TrailerLine,
    TrailerLineFeed,
    LastLineFeed,
    Done,
}

impl Chunked {
    /// Before the first chunk.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: State::Size, size: 0, digits: 0, line: 0 }
    }

    /// Whether the last chunk and its trailers have come.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Takes bytes, hands the body's on, and gives the number it took: all of them, or fewer when the body has ended.
    ///
    /// # Errors
    /// When the framing is not what the RFC says, or longer than [`limits::CHUNK_LINE_BYTES`] allows.
    pub fn feed(&mut self, bytes: &[u8], mut body: impl FnMut(&[u8])) -> Result<usize, Broken> {
        let mut rest = bytes;
        while !self.is_done() {
            if let State::Data(left) = self.state {
                let take = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                let (data, behind) = rest.split_at(take);
                if data.is_empty() {
                    break;
                }
                body(data);
                rest = behind;
                let left = left.saturating_sub(data.len() as u64);
                self.state = if left == 0 { State::DataReturn } else { State::Data(left) };
            } else {
                let Some((&byte, behind)) = rest.split_first() else { break };
                rest = behind;
                self.state = self.frame(byte)?;
            }
        }
        Ok(bytes.len().saturating_sub(rest.len()))
    }

    /// One byte of framing.
    fn frame(&mut self, byte: u8) -> Result<State, Broken> {
        self.line = self.line.saturating_add(1);
        if self.line > limits::CHUNK_LINE_BYTES {
            return Err(Broken::Chunk);
        }
        Ok(match (self.state, byte) {
            (State::Size, digit) if digit.is_ascii_hexdigit() && self.digits < limits::CHUNK_SIZE_DIGITS => {
                let value = if digit.is_ascii_digit() { digit & 0x0f } else { (digit & 0x0f).saturating_add(9) };
                self.size = self.size << 4 | u64::from(value);
                self.digits = self.digits.saturating_add(1);
                State::Size
            }
            (State::Size | State::Padding | State::Extension, b'\r') if self.digits > 0 => State::SizeLineFeed,
            (State::Size | State::Padding, b';') if self.digits > 0 => State::Extension,
            (State::Size | State::Padding, b' ' | b'\t') if self.digits > 0 => State::Padding,
            (State::Extension, other) if other != b'\n' => State::Extension,
            (State::SizeLineFeed, b'\n') => {
                let size = std::mem::take(&mut self.size);
                self.digits = 0;
                if size == 0 {
                    State::Trailer
                } else {
                    self.line = 0;
                    State::Data(size)
                }
            }
            (State::DataReturn, b'\r') => State::DataLineFeed,
            (State::DataLineFeed, b'\n') => State::Size,
            (State::Trailer, b'\r') => State::LastLineFeed,
            (State::Trailer | State::TrailerLine, other) if other != b'\n' => {
                if other == b'\r' {
                    State::TrailerLineFeed
                } else {
                    State::TrailerLine
                }
            }
            (State::TrailerLineFeed, b'\n') => State::Trailer,
            (State::LastLineFeed, b'\n') => State::Done,
            _ => return Err(Broken::Chunk),
        })
    }
}

impl Default for Chunked {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::however_cut;

    /// The body, whether it ended, and how many bytes were not its own.
    fn outcome(pieces: &[&[u8]]) -> Result<(Vec<u8>, bool, usize), Broken> {
        let mut chunked = Chunked::new();
        let mut body = Vec::new();
        let mut behind = 0;
        for piece in pieces {
            behind += piece.len() - chunked.feed(piece, |part| body.extend_from_slice(part))?;
        }
        Ok((body, chunked.is_done(), behind))
    }

    #[test]
    fn bodies() {
        let cases: &[(&str, &str, bool)] = &[
            ("0\r\n\r\n", "", true),
            ("5\r\nhello\r\n0\r\n\r\n", "hello", true),
            ("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world", true),
            ("0000000A\r\n0123456789\r\n00000000\r\n\r\n", "0123456789", true),
            ("a;x=y\r\n0123456789\r\n0 \t;z\r\n\r\n", "0123456789", true),
            ("1  \r\na\r\n0 \r\n\r\n", "a", true),
            ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n", true),
            ("1\r\na\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\n", "a", true),
            ("5\r\nhel", "hel", false),
            ("5\r\nhello\r\n", "hello", false),
            ("5\r\nhello\r\n0\r\n", "hello", false),
            ("", "", false),
        ];
        for &(bytes, body, done) in cases {
            assert_eq!(however_cut(bytes.as_bytes(), outcome), Ok((body.into(), done, 0)), "{bytes:?}");
            if done {
                let neighbour = format!("{bytes}HTTP/1.1");
                assert_eq!(however_cut(neighbour.as_bytes(), outcome), Ok((body.into(), true, 8)), "{neighbour:?}");
            }
        }
    }

    #[test]
    fn broken_framing() {
        let long = format!("1;{}\r\n", "x".repeat(limits::CHUNK_LINE_BYTES.into()));
        let endless = format!("0\r\n{}", "x: y\r\n".repeat(1000));
        for bytes in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            " 5\r\n",
            ";\r\n",
            "5\n",
            "5\rx",
            "5;x\n",
            "5 5\r\n",
            "123456789\r\n",
            "5\r\nhello0",
            "5\r\nhello\rx",
            "5\r\nhello\n",
            "0\r\n\n",
            "0\r\nx\n",
            "0\r\nx\rx",
            "0\r\n\rx",
            "1;\rx",
            &long,
            &endless,
        ] {
            assert_eq!(however_cut(bytes.as_bytes(), outcome), Err(Broken::Chunk), "{bytes:?}");
        }
    }
}
