//! Files that are there as a whole or as they were before: written beside their place, in a file of which the name begins with a dot,
//! and then renamed.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Writes the file at `path`, of mode 0600, by `put`. A folder that is not there is made.
///
/// # Errors
/// When it cannot be written; what was there before stays.
pub(crate) fn write(path: &Path, put: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    replace(path, 0o600, put)
}

/// Writes the file at `path`, of this mode whatever the umask, by `put`. Its folder must be there.
///
/// # Errors
/// When it cannot be written; what was there before stays.
pub(crate) fn replace(
    path: &Path,
    mode: u32,
    put: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    // Others that write the same file do so beside this one.
    let beside = folder.join(format!(".{}.{}", name.display(), std::process::id()));
    // What is left of a process that was killed and had this number.
    let _ = fs::remove_file(&beside);
    let written = || {
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        put(&mut file)?;
        fs::rename(&beside, path)
    };
    written().inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_is_there_as_a_whole_or_as_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/file");
        write(&path, |file| file.write_all(b"one")).unwrap();
        let failed = write(&path, |file| {
            file.write_all(b"tw")?;
            Err(io::Error::other("no more"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "no more");
        assert_eq!(fs::read(&path).unwrap(), b"one");
        write(&path, |file| file.write_all(b"three")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 1, "nothing else is left");
        assert!(write(Path::new("/"), |_| Ok(())).is_err());
        replace(&path, 0o644, |file| file.write_all(b"four")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert!(replace(&folder.path().join("none/file"), 0o644, |_| Ok(())).is_err(), "no folder is made");
    }
}
