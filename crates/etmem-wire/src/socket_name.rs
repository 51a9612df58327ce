//! The name of the abstract socket where an etmemd listens.

use std::fmt;

/// Most bytes of a socket name: what `sun_path` (108 bytes, unix(7)) holds after the leading NUL.
pub const SOCKET_NAME_MAX: usize = 107;

/// The name of an abstract Unix socket: 1 to [`SOCKET_NAME_MAX`] bytes, without the leading NUL of the address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SocketName(Box<[u8]>);

/// Why some bytes cannot be a [`SocketName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SocketNameError {
    /// There is no byte at all.
    #[error("is empty; a socket name has 1 to {SOCKET_NAME_MAX} bytes")]
    Empty,
    /// There are more bytes than [`SOCKET_NAME_MAX`].
    #[error("has {0} bytes; a socket name has 1 to {SOCKET_NAME_MAX}")]
    TooLong(usize),
}

impl SocketName {
    /// Takes `bytes` as a socket name.
    ///
    /// # Errors
    /// Says which rule `bytes` break.
    pub fn new(bytes: &[u8]) -> Result<Self, SocketNameError> {
        if bytes.is_empty() {
            return Err(SocketNameError::Empty);
        }
        if bytes.len() > SOCKET_NAME_MAX {
            return Err(SocketNameError::TooLong(bytes.len()));
        }
        Ok(Self(bytes.into()))
    }

    /// The name in the address, after the leading NUL.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// For people: what is not UTF-8 is replaced.
impl fmt::Display for SocketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&String::from_utf8_lossy(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_the_only_rule() {
        assert_eq!(SocketName::new(b""), Err(SocketNameError::Empty));
        assert_eq!(SocketName::new(b"-x y\xff").map(|name| name.to_string()).unwrap(), "-x y\u{fffd}");
        assert_eq!(SocketName::new(&[b'n'; 107]).unwrap().as_bytes(), [b'n'; 107]);
        assert_eq!(SocketName::new(&[b'n'; 108]), Err(SocketNameError::TooLong(108)));
    }
}
