//! Who a program runs as: names looked up in `/etc/passwd` and `/etc/group`.
//!
//! Absent: directories such as LDAP. An account from there is written as its number.

use crate::ExecError;

pub(crate) const PASSWD: &str = "/etc/passwd";
pub(crate) const GROUP: &str = "/etc/group";

/// Whom a program runs as; `None` in a field changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) user: Option<u32>,
    pub(crate) group: Option<u32>,
    pub(crate) groups: Option<Vec<u32>>,
    /// The user's name and home, for the environment.
    pub(crate) name: Option<String>,
    pub(crate) home: Option<String>,
}

struct Entry<'t> {
    name: &'t str,
    user: u32,
    group: u32,
    home: &'t str,
}

fn entries(passwd: &str) -> impl Iterator<Item = Entry<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let user = fields.nth(1)?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        let home = fields.nth(1)?;
        Some(Entry { name, user, group, home })
    })
}

/// Number and members of each group.
fn groups(group: &str) -> impl Iterator<Item = (&str, u32, Vec<&str>)> {
    group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number = fields.nth(1)?.parse().ok()?;
        Some((name, number, fields.next().unwrap_or_default().split(',').collect()))
    })
}

/// Finds the account, given the texts of both files. A number needs no entry.
pub(crate) fn find(
    user: Option<&str>,
    group: Option<&str>,
    passwd: &str,
    group_file: &str,
) -> Result<Account, ExecError> {
    let mut account = Account::default();
    if let Some(wanted) = user {
        let number = wanted.parse::<u32>().ok();
        let entry =
            entries(passwd).find(|entry| entry.name == wanted || Some(entry.user) == number);
        match (entry, number) {
            (Some(entry), _) => {
                account.user = Some(entry.user);
                account.group = Some(entry.group);
                account.name = Some(entry.name.to_owned());
                account.home = Some(entry.home.to_owned());
                let member_of = groups(group_file)
                    .filter(|(_, _, members)| members.contains(&entry.name))
                    .map(|(_, number, _)| number);
                account.groups = Some(std::iter::once(entry.group).chain(member_of).collect());
            }
            (None, Some(number)) => {
                account.user = Some(number);
                account.group = Some(number);
                account.groups = Some(vec![number]);
            }
            (None, None) => return Err(unknown("user", wanted, PASSWD)),
        }
    }
    if let Some(wanted) = group {
        // Instead of the user's first group; those it is a member of stay.
        let first = account.group;
        let number = groups(group_file).find(|(name, ..)| *name == wanted).map(|(_, n, _)| n);
        let number = number.or_else(|| wanted.parse().ok());
        account.group = Some(number.ok_or_else(|| unknown("group", wanted, GROUP))?);
        let mut all = account.groups.take().unwrap_or_default();
        all.retain(|group| Some(*group) != first);
        all.extend(account.group);
        account.groups = Some(all);
    }
    if let Some(all) = &mut account.groups {
        all.sort_unstable();
        all.dedup();
    }
    Ok(account)
}

fn unknown(kind: &'static str, name: &str, file: &'static str) -> ExecError {
    ExecError::UnknownAccount { kind, name: name.to_owned(), file }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD_TEXT: &str = "root:x:0:0:root:/root:/bin/bash\n\
        deploy:x:1001:1002:Deploys,,,:/var/deploy:/bin/sh\nbroken line\n";
    const GROUP_TEXT: &str = "root:x:0:\ndocker:x:120:deploy,anna\nwww:x:33:\nanna:x:7:anna\n";

    fn found(user: Option<&str>, group: Option<&str>) -> Result<Account, ExecError> {
        find(user, group, PASSWD_TEXT, GROUP_TEXT)
    }

    #[test]
    fn accounts_are_found_by_name_and_number() {
        let deploy = found(Some("deploy"), None).unwrap();
        assert_eq!((deploy.user, deploy.group), (Some(1001), Some(1002)));
        assert_eq!(deploy.groups, Some(vec![120, 1002]));
        assert_eq!(deploy.home.as_deref(), Some("/var/deploy"));
        assert_eq!(found(Some("1001"), None).unwrap(), deploy);
        let other = found(Some("4242"), None).unwrap();
        assert_eq!((other.user, other.group, other.name), (Some(4242), Some(4242), None));
        let www = found(Some("deploy"), Some("www")).unwrap();
        assert_eq!((www.group, www.groups), (Some(33), Some(vec![33, 120])));
        let group_only = found(None, Some("33")).unwrap();
        assert_eq!((group_only.user, group_only.group), (None, Some(33)));
        assert_eq!(found(None, None).unwrap(), Account::default());
    }

    #[test]
    fn unknown_names_are_errors() {
        assert_eq!(found(Some("nobody-here"), None).unwrap_err().code(), "unknown_account");
        assert_eq!(found(None, Some("nobody-here")).unwrap_err().code(), "unknown_account");
    }
}
