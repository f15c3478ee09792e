//! Who may use the socket, and as what.

/// What a client may do. A later role may all that an earlier one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// Ask for what is known: all seven types of tasks.
    Reader,
    /// Change what is collected.
    Operator,
    /// Everything.
    Admin,
}

/// Users and groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Principals {
    /// User ids.
    pub uids: Vec<u32>,
    /// Group ids. What counts is the effective group of the client's process; the kernel tells no others.
    pub gids: Vec<u32>,
}

/// Who may do what. Root and the user that the server runs as are always admins, everybody else is nobody unless listed.
///
/// The mode of the socket is a wall before this one: a client that may not open the file is never asked who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct IpcAccess {
    /// Readers.
    pub readers: Principals,
    /// Operators.
    pub operators: Principals,
    /// Admins.
    pub admins: Principals,
}

impl IpcAccess {
    /// Gives a user a role.
    #[must_use]
    pub fn with_uid(mut self, uid: u32, role: Role) -> Self {
        self.principals(role).uids.push(uid);
        self
    }

    /// Gives a group a role.
    #[must_use]
    pub fn with_gid(mut self, gid: u32, role: Role) -> Self {
        self.principals(role).gids.push(gid);
        self
    }

    const fn principals(&mut self, role: Role) -> &mut Principals {
        match role {
            Role::Reader => &mut self.readers,
            Role::Operator => &mut self.operators,
            Role::Admin => &mut self.admins,
        }
    }

    /// The highest role somebody has.
    #[must_use]
    pub fn role(&self, uid: u32, gid: u32, server_uid: u32) -> Option<Role> {
        let Self { readers, operators, admins } = self;
        let among = |them: &Principals| them.uids.contains(&uid) || them.gids.contains(&gid);
        if uid == 0 || uid == server_uid || among(admins) {
            Some(Role::Admin)
        } else if among(operators) {
            Some(Role::Operator)
        } else {
            among(readers).then_some(Role::Reader)
        }
    }
}

/// The process at the other end of a connection, as the kernel knew it when it connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Process id, where the system tells it. It may belong to somebody else by now.
    pub pid: Option<i32>,
    /// What it may do.
    pub role: Role,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_the_server_are_admins_and_others_what_they_are_listed_as() {
        let access = IpcAccess::default()
            .with_uid(1, Role::Reader)
            .with_uid(2, Role::Operator)
            .with_uid(2, Role::Reader)
            .with_gid(30, Role::Admin);
        let role = |uid, gid| access.role(uid, gid, 500);
        assert_eq!([role(0, 0), role(500, 9), role(7, 30)], [Some(Role::Admin); 3]);
        assert_eq!([role(1, 9), role(2, 9)], [Some(Role::Reader), Some(Role::Operator)]);
        assert_eq!([role(1, 30), role(30, 1)], [Some(Role::Admin), None]);
        assert!(Role::Reader < Role::Operator && Role::Operator < Role::Admin);
    }

    #[test]
    fn configuration_names_roles() {
        let text = r#"{"readers":{"gids":[30]},"admins":{"uids":[1]}}"#;
        let access: IpcAccess = serde_json::from_str(text).unwrap();
        assert_eq!(access, IpcAccess::default().with_gid(30, Role::Reader).with_uid(1, Role::Admin));
        assert!(serde_json::from_str::<IpcAccess>(r#"{"reader":{}}"#).is_err());
    }
}
