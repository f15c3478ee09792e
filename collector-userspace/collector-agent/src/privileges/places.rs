//! Where the agent writes: giving its directories to the user who will write there, before root is gone.
//!
//! Root changes owners only where nobody else could have arranged what it finds. A directory is made for the user, or it belongs
//! to root, holds nothing but the agent's own files, and is handed over with them once. In what belongs to the user already,
//! root touches nothing: whoever is that user could have put a link there to a file of others.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Uid, chownat, fchown};

use super::account::Account;

/// A directory of the agent's.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    pub(crate) path: PathBuf,
    /// The permissions it is made with.
    pub(crate) mode: u32,
    /// Names of the files that the agent may have made in it.
    pub(crate) files: Vec<OsString>,
}

/// What a user can do with a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Prospect {
    /// Write there, as things are.
    Writes,
    /// Have it, because it does not exist.
    IsMade,
    /// Have it, because it is root's and the agent's alone.
    IsHandedOver,
    /// Nothing, and why.
    Nothing(String),
}

impl Directory {
    /// The directory of a database, named by its file.
    pub(crate) fn of_database(database: &Path) -> Self {
        let name = database.file_name().unwrap_or_default();
        let with = |suffix: &str| {
            let mut name = name.to_owned();
            name.push(suffix);
            name
        };
        Self {
            path: parent(database).to_owned(),
            mode: 0o700,
            files: ["", "-wal", "-shm", "-journal"].map(with).into(),
        }
    }

    /// The runtime directory.
    pub(crate) fn of_runtime(path: &Path) -> Self {
        let files = [crate::instance::FILES, crate::status::FILES].concat();
        Self { path: path.to_owned(), mode: 0o755, files: files.into_iter().map(OsString::from).collect() }
    }

    /// What this user can do with it, as far as its permissions tell.
    pub(crate) fn prospect(&self, account: &Account) -> Prospect {
        let (existing, metadata) = match nearest(&self.path) {
            Ok(found) => found,
            Err(error) => return Prospect::Nothing(error.to_string()),
        };
        let is_there = existing == self.path;
        if may_write(&metadata, account) {
            return Prospect::Writes;
        }
        if is_within_reach(&self.path, account) {
            let path = existing.display();
            return Prospect::Nothing(format!(
                "{path} does not belong to {account}, and what leads to it does"
            ));
        }
        if !is_there {
            return Prospect::IsMade;
        }
        match self.foreign(&metadata) {
            Ok(None) => Prospect::IsHandedOver,
            Ok(Some(obstacle)) => Prospect::Nothing(obstacle),
            Err(error) => Prospect::Nothing(error.to_string()),
        }
    }

    /// Sees to it that this user can write there. Does nothing where it can already, or never will.
    pub(super) fn hand_over(&self, account: &Account) -> io::Result<()> {
        match self.prospect(account) {
            Prospect::Writes | Prospect::Nothing(_) => Ok(()),
            Prospect::IsMade => make_for(&self.path, self.mode, account),
            Prospect::IsHandedOver => {
                let directory = open(&self.path)?;
                for file in &self.files {
                    // Nobody but root can change anything in there yet, so that a name stays what it is.
                    match chownat(&directory, file, uid(account), gid(account), AtFlags::SYMLINK_NOFOLLOW) {
                        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
                        Err(errno) => return Err(errno.into()),
                    }
                }
                give(&directory, account)
            }
        }
    }

    /// Why this directory is not the agent's alone, if it is not.
    fn foreign(&self, metadata: &Metadata) -> io::Result<Option<String>> {
        let path = self.path.display();
        if !metadata.is_dir() {
            return Ok(Some(format!("{path} is not a directory")));
        }
        if metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
            return Ok(Some(format!("{path} belongs to others (uid {})", metadata.uid())));
        }
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            if !self.files.contains(&name) {
                let name = name.to_string_lossy().into_owned();
                return Ok(Some(format!("{path} belongs to root, and holds other things ({name:?})")));
            }
        }
        Ok(None)
    }
}

/// Whether whoever is this user decides what this path leads to: then it is for the user to open it, and not for root.
///
/// Follows the path as the kernel does, links included, as far as it exists.
pub(crate) fn is_within_reach(path: &Path, account: &Account) -> bool {
    // As many links as the kernel follows.
    let mut links = 40;
    let Ok(absolute) = std::path::absolute(path) else { return true };
    let mut ahead: Vec<OsString> =
        absolute.components().rev().map(|part| part.as_os_str().to_owned()).collect();
    let mut here = PathBuf::new();
    while let Some(part) = ahead.pop() {
        if part == ".." {
            here.pop();
            continue;
        }
        // "/" replaces what was before.
        let next = here.join(part);
        let Ok(metadata) = fs::symlink_metadata(&next) else { return false };
        let is_sticky = metadata.mode() & 0o1000 != 0;
        if metadata.uid() == account.uid || (may_write(&metadata, account) && !is_sticky) {
            return true;
        }
        if !metadata.is_symlink() {
            here = next;
            continue;
        }
        links -= 1;
        let Ok(target) = fs::read_link(&next) else { return true };
        if links == 0 {
            return true;
        }
        ahead.extend(target.components().rev().map(|part| part.as_os_str().to_owned()));
    }
    false
}

/// Makes a directory, and those above it that are missing, for this user.
fn make_for(path: &Path, mode: u32, account: &Account) -> io::Result<()> {
    let missing: Vec<&Path> = path
        .ancestors()
        .take_while(|path| !path.as_os_str().is_empty() && fs::symlink_metadata(path).is_err())
        .collect();
    for directory in missing.into_iter().rev() {
        fs::DirBuilder::new().mode(mode).create(directory)?;
        let made = open(directory)?;
        // Where others can write they may have put something else there meanwhile.
        if made.metadata()?.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other(format!("{} was replaced meanwhile", directory.display())));
        }
        give(&made, account)?;
    }
    Ok(())
}

/// Gives what is open to this user.
pub(crate) fn give(file: &File, account: &Account) -> io::Result<()> {
    Ok(fchown(file, uid(account), gid(account))?)
}

fn open(directory: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW).open(directory)
}

/// The directory itself or, where it does not exist, what it will be made in.
fn nearest(path: &Path) -> io::Result<(PathBuf, Metadata)> {
    for path in path.ancestors() {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        match fs::metadata(path) {
            Ok(metadata) => return Ok((path.to_owned(), metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// Whether the permissions let this user write. Access control lists are not looked at.
fn may_write(metadata: &Metadata, account: &Account) -> bool {
    let mode = metadata.mode();
    let write_and_search = if metadata.uid() == account.uid {
        0o300
    } else if metadata.gid() == account.gid {
        0o030
    } else {
        0o003
    };
    metadata.is_dir() && mode & write_and_search == write_and_search
}

fn uid(account: &Account) -> Option<Uid> {
    Some(Uid::from_raw(account.uid))
}

fn gid(account: &Account) -> Option<Gid> {
    Some(Gid::from_raw(account.gid))
}

/// The directory a file is in.
pub(crate) fn parent(file: &Path) -> &Path {
    file.parent().filter(|path| *path != OsStr::new("")).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    fn user() -> Account {
        Account { name: None, uid: 61_010, gid: 61_011 }
    }

    fn is_root() -> bool {
        rustix::process::geteuid().is_root()
    }

    /// A place whose parents are all root's.
    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
            Self(directory)
        }

        fn directory(&self, name: &str) -> Directory {
            Directory {
                path: self.0.path().join(name),
                mode: 0o700,
                files: vec!["ours".into(), "ours-wal".into()],
            }
        }

        fn owner(&self, name: &str) -> (u32, u32) {
            let metadata = fs::symlink_metadata(self.0.path().join(name)).unwrap();
            (metadata.uid(), metadata.gid())
        }
    }

    const OURS: (u32, u32) = (61_010, 61_011);

    #[test]
    fn what_is_missing_is_made_for_the_user() {
        if !is_root() {
            return;
        }
        let place = Place::new();
        let directory = place.directory("a/b");
        assert_eq!(directory.prospect(&user()), Prospect::IsMade);
        directory.hand_over(&user()).unwrap();
        assert_eq!((place.owner("a"), place.owner("a/b"), place.owner("")), (OURS, OURS, (0, 0)));
        assert_eq!(fs::metadata(&directory.path).unwrap().mode() & 0o777, 0o700);
        assert_eq!(directory.prospect(&user()), Prospect::Writes);
        directory.hand_over(&user()).unwrap();
    }

    #[test]
    fn what_root_made_before_is_handed_over_with_what_is_ours() {
        if !is_root() {
            return;
        }
        let place = Place::new();
        let directory = place.directory("state");
        fs::create_dir(&directory.path).unwrap();
        let outside = place.0.path().join("outside");
        fs::write(&outside, "").unwrap();
        fs::write(directory.path.join("ours"), "").unwrap();
        symlink(&outside, directory.path.join("ours-wal")).unwrap();
        assert_eq!(directory.prospect(&user()), Prospect::IsHandedOver);
        directory.hand_over(&user()).unwrap();
        assert_eq!((place.owner("state"), place.owner("state/ours")), (OURS, OURS));
        assert_eq!(place.owner("outside"), (0, 0), "a link must not be followed");
    }

    #[test]
    fn what_others_share_is_left_alone() {
        if !is_root() {
            return;
        }
        let place = Place::new();
        let shared = place.directory("shared");
        fs::create_dir(&shared.path).unwrap();
        fs::write(shared.path.join("ours"), "").unwrap();
        fs::write(shared.path.join("theirs"), "").unwrap();
        let of_others = place.directory("others");
        fs::create_dir(&of_others.path).unwrap();
        chown(&of_others.path, Some(61_012), None).unwrap();
        let writable = place.directory("writable");
        fs::create_dir(&writable.path).unwrap();
        fs::set_permissions(&writable.path, fs::Permissions::from_mode(0o775)).unwrap();
        let file = place.directory("file");
        fs::write(&file.path, "").unwrap();
        for (directory, name) in
            [(shared, "shared"), (of_others, "others"), (writable, "writable"), (file, "file")]
        {
            let before = place.owner(name);
            assert!(matches!(directory.prospect(&user()), Prospect::Nothing(_)), "{name}");
            directory.hand_over(&user()).unwrap();
            assert_eq!(place.owner(name), before);
        }
        assert_eq!(place.owner("shared/ours"), (0, 0));
    }

    #[test]
    fn root_touches_nothing_within_what_is_the_users() {
        if !is_root() {
            return;
        }
        let place = Place::new();
        let (home, empty) = (place.directory("home"), place.directory("empty"));
        fs::create_dir(&home.path).unwrap();
        fs::create_dir(&empty.path).unwrap();
        chown(&home.path, Some(OURS.0), Some(OURS.1)).unwrap();
        // A file of root's with our name, a directory of root's, and a link to one elsewhere.
        fs::write(home.path.join("ours"), "").unwrap();
        fs::create_dir(home.path.join("inner")).unwrap();
        home.hand_over(&user()).unwrap();
        let inner = place.directory("home/inner");
        assert!(matches!(inner.prospect(&user()), Prospect::Nothing(_)));
        inner.hand_over(&user()).unwrap();
        assert_eq!((place.owner("home/ours"), place.owner("home/inner")), ((0, 0), (0, 0)));
        symlink(&empty.path, home.path.join("link")).unwrap();
        fs::create_dir(empty.path.join("inner")).unwrap();
        symlink(home.path.join("link"), place.0.path().join("detour")).unwrap();
        for name in ["home/link/inner", "home/link/new", "detour/inner", "home/../home/link/inner"] {
            let directory = place.directory(name);
            assert!(matches!(directory.prospect(&user()), Prospect::Nothing(_)), "{name}");
            directory.hand_over(&user()).unwrap();
        }
        assert_eq!((place.owner("empty"), place.owner("empty/inner")), ((0, 0), (0, 0)));
        assert!(fs::symlink_metadata(empty.path.join("new")).is_err());
        assert!(is_within_reach(&home.path.join("events.json"), &user()));
        assert!(!is_within_reach(&empty.path.join("events.json"), &user()));
    }

    #[test]
    fn databases_bring_the_files_of_sqlite() {
        let directory = Directory::of_database(Path::new("/var/lib/x/events.db"));
        assert_eq!(directory.path, Path::new("/var/lib/x"));
        assert_eq!(directory.files, ["events.db", "events.db-wal", "events.db-shm", "events.db-journal"]);
        assert_eq!(Directory::of_database(Path::new("x.db")).path, Path::new("."));
    }
}
