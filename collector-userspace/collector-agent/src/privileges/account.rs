//! Which user the agent runs as.

use rustix::thread::CapabilitySet;

use super::PrivilegeError;

/// The user the agent becomes when it is started as root and told nothing else.
pub(crate) const DEFAULT_USER: &str = "collector";

/// What becoming another user, and never going back, takes.
const TO_CHANGE: [(CapabilitySet, &str); 3] = [
    (CapabilitySet::SETUID, "CAP_SETUID"),
    (CapabilitySet::SETGID, "CAP_SETGID"),
    (CapabilitySet::SETPCAP, "CAP_SETPCAP"),
];

/// A user, with its primary group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: Option<String>,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// What becomes of the user who started the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// root gives way to this user.
    Become(Account),
    /// The agent stays who it is.
    Stay {
        /// Why it is root, where it is.
        as_root: Option<AsRoot>,
    },
}

/// Why the agent goes on as root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AsRoot {
    /// It was told to.
    Told,
    /// There is no user to become.
    NoUser,
    /// There is, but what it takes to become it is missing.
    Lacking(Vec<&'static str>),
}

/// Who this process is, and what it may do about that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) uid: u32,
    pub(super) effective: CapabilitySet,
}

/// The users of a system.
pub(super) trait Users {
    fn by_name(&self, name: &str) -> Option<Account>;
    fn by_uid(&self, uid: u32) -> Option<Account>;
}

/// The users of this system.
pub(super) struct SystemUsers;

impl Users for SystemUsers {
    fn by_name(&self, name: &str) -> Option<Account> {
        uzers::get_user_by_name(name).map(|user| Account::from(&user))
    }

    fn by_uid(&self, uid: u32) -> Option<Account> {
        uzers::get_user_by_uid(uid).map(|user| Account::from(&user))
    }
}

/// The name of a user of this system.
pub(super) fn name_of(uid: u32) -> Option<String> {
    SystemUsers.by_uid(uid)?.name
}

impl From<&uzers::User> for Account {
    fn from(user: &uzers::User) -> Self {
        let name = Some(user.name().to_string_lossy().into_owned());
        Self { name, uid: user.uid(), gid: user.primary_group_id() }
    }
}

impl Account {
    /// The user of this name or, if there is none, of this number. A number without user is good enough: it stands for itself,
    /// and for the group of the same number.
    fn find(wanted: &str, users: &impl Users) -> Option<Self> {
        let numbered = |uid| users.by_uid(uid).unwrap_or(Self { name: None, uid, gid: uid });
        // The last number means "no change" to the kernel.
        let number = || wanted.parse().ok().filter(|uid| *uid != u32::MAX);
        users.by_name(wanted).or_else(|| number().map(numbered))
    }
}

impl std::fmt::Display for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} (uid {})", self.uid),
            None => write!(f, "uid {}", self.uid),
        }
    }
}

impl std::fmt::Display for AsRoot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Told => write!(f, "as configured"),
            Self::NoUser => write!(f, "there is no user `{DEFAULT_USER}` to give way to"),
            Self::Lacking(names) => {
                write!(f, "it cannot become the user `{DEFAULT_USER}` without {}", names.join(" and "))
            }
        }
    }
}

/// Decides, by what is wanted and by who this process is.
pub(super) fn decide(
    wanted: Option<&str>,
    origin: Origin,
    users: &impl Users,
) -> Result<Role, PrivilegeError> {
    let account = wanted.map(|wanted| {
        Account::find(wanted, users).ok_or_else(|| PrivilegeError::NoUser { wanted: wanted.to_owned() })
    });
    let account = account.transpose()?;
    if origin.uid != 0 {
        return match account {
            Some(account) if account.uid != origin.uid => {
                Err(PrivilegeError::NotRoot { account, uid: origin.uid })
            }
            _ => Ok(Role::Stay { as_root: None }),
        };
    }
    let stay = |why| Ok(Role::Stay { as_root: Some(why) });
    let is_told = account.is_some();
    let Some(account) = account.or_else(|| users.by_name(DEFAULT_USER)) else { return stay(AsRoot::NoUser) };
    if account.uid == 0 {
        return stay(AsRoot::Told);
    }
    let lacking: Vec<&str> = TO_CHANGE
        .iter()
        .filter(|(needed, _)| !origin.effective.contains(*needed))
        .map(|(_, name)| *name)
        .collect();
    match (lacking.is_empty(), is_told) {
        (true, _) => Ok(Role::Become(account)),
        (false, true) => Err(PrivilegeError::Lacking { account, lacking }),
        // Nobody asked for it: a container whose root is stripped already shall not fail for it.
        (false, false) => stay(AsRoot::Lacking(lacking)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Made(&'static [(&'static str, u32, u32)]);

    impl Made {
        fn find(&self, is_it: impl Fn(&str, u32) -> bool) -> Option<Account> {
            let found = self.0.iter().find(|(name, uid, _)| is_it(name, *uid));
            found.map(|&(name, uid, gid)| Account { name: Some(name.to_owned()), uid, gid })
        }
    }

    impl Users for Made {
        fn by_name(&self, name: &str) -> Option<Account> {
            self.find(|known, _| known == name)
        }
        fn by_uid(&self, uid: u32) -> Option<Account> {
            self.find(|_, known| known == uid)
        }
    }

    const NOBODY_ELSE: Made = Made(&[("root", 0, 0), ("anna", 1000, 100)]);
    const WITH_OURS: Made = Made(&[("root", 0, 0), ("collector", 990, 980), ("1234", 77, 7)]);

    fn root(wanted: Option<&str>, users: &Made) -> Result<Role, String> {
        let origin = Origin { uid: 0, effective: CapabilitySet::all() };
        decide(wanted, origin, users).map_err(|error| error.to_string())
    }

    fn becomes(name: Option<&str>, uid: u32, gid: u32) -> Result<Role, String> {
        Ok(Role::Become(Account { name: name.map(str::to_owned), uid, gid }))
    }

    #[test]
    fn root_becomes_who_is_named_by_name_or_number() {
        assert_eq!(root(Some("anna"), &NOBODY_ELSE), becomes(Some("anna"), 1000, 100));
        assert_eq!(root(Some("1000"), &NOBODY_ELSE), becomes(Some("anna"), 1000, 100));
        assert_eq!(root(Some("61000"), &NOBODY_ELSE), becomes(None, 61_000, 61_000));
        // A name is a name first, even one of digits.
        assert_eq!(root(Some("1234"), &WITH_OURS), becomes(Some("1234"), 77, 7));
    }

    #[test]
    fn root_becomes_our_user_where_there_is_one() {
        assert_eq!(root(None, &WITH_OURS), becomes(Some("collector"), 990, 980));
        assert_eq!(root(None, &NOBODY_ELSE), Ok(Role::Stay { as_root: Some(AsRoot::NoUser) }));
        for name in ["root", "0"] {
            assert_eq!(root(Some(name), &WITH_OURS), Ok(Role::Stay { as_root: Some(AsRoot::Told) }));
        }
    }

    #[test]
    fn an_absent_user_is_an_error_where_it_is_named() {
        for name in ["", "zoe", "-1", " 5", "4294967295", "4294967296", "5:5"] {
            let error = root(Some(name), &WITH_OURS);
            assert!(error.clone().is_err_and(|error| error.contains("no user")), "{name}: {error:?}");
        }
    }

    #[test]
    fn root_without_the_means_stays_unless_told() {
        let origin = Origin { uid: 0, effective: CapabilitySet::BPF | CapabilitySet::SETGID };
        let lacking = vec!["CAP_SETUID", "CAP_SETPCAP"];
        assert_eq!(
            decide(None, origin, &WITH_OURS).unwrap(),
            Role::Stay { as_root: Some(AsRoot::Lacking(lacking)) }
        );
        let error = decide(Some("collector"), origin, &WITH_OURS).unwrap_err().to_string();
        assert!(error.contains("CAP_SETUID and CAP_SETPCAP"), "{error}");
    }

    #[test]
    fn others_stay_who_they_are() {
        let decide = |wanted, uid| {
            let origin = Origin { uid, effective: CapabilitySet::empty() };
            decide(wanted, origin, &NOBODY_ELSE)
        };
        assert_eq!(decide(None, 5).unwrap(), Role::Stay { as_root: None });
        assert_eq!(decide(Some("anna"), 1000).unwrap(), Role::Stay { as_root: None });
        assert_eq!(decide(Some("5"), 5).unwrap(), Role::Stay { as_root: None });
        let error = decide(Some("anna"), 5).unwrap_err().to_string();
        assert!(error.contains("only root can"), "{error}");
        assert!(decide(Some("root"), 5).is_err());
    }
}
