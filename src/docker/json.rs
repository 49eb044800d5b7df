//! Reading a JSON object key by key into a record, whatever else it holds.
//!
//! By hand, since procedural macros do not build under a static C runtime (rust-lang/rust#78210). Every value may be null, and
//! keys that nobody knows are passed over: Docker adds some with each version and says that clients must ignore them.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

/// A record that is read from an object.
pub(super) trait Object: Default {
    /// Reads the value of that key, or passes it over.
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error>;
}

/// Reads an object into a record.
pub(super) fn object<'de, T: Object, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_map(Keys(PhantomData))
}

/// A value, or what stands for null.
pub(super) fn value<'de, T: Deserialize<'de> + Default, A: MapAccess<'de>>(map: &mut A) -> Result<T, A::Error> {
    Ok(map.next_value::<Option<T>>()?.unwrap_or_default())
}

/// A value that is itself an object.
pub(super) fn nested<'de, T: Object, A: MapAccess<'de>>(map: &mut A) -> Result<T, A::Error> {
    Ok(map.next_value::<Option<Nested<T>>>()?.map(|Nested(object)| object).unwrap_or_default())
}

/// Passes a value over.
pub(super) fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(|_| ())
}

struct Nested<T>(T);

impl<'de, T: Object> Deserialize<'de> for Nested<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer).map(Self)
    }
}

struct Keys<T>(PhantomData<T>);

impl<'de, T: Object> Visitor<'de> for Keys<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut record = T::default();
        while let Some(key) = map.next_key::<Box<str>>()? {
            record.take(&key, &mut map)?;
        }
        Ok(record)
    }
}
