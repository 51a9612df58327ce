//! How arrays of more items than serde knows are written down and read: as lists.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) fn serialize<T: Serialize, S: Serializer, const N: usize>(
    array: &[T; N],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    array.as_slice().serialize(serializer)
}

pub(crate) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>, const N: usize>(
    deserializer: D,
) -> Result<[T; N], D::Error> {
    let list = Vec::deserialize(deserializer)?;
    list.try_into().map_err(|list: Vec<T>| D::Error::invalid_length(list.len(), &"another number of items"))
}
