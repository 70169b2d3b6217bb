//! The guest's user in the image's own lists of users: `passwd(5)`, `group(5)` and `shadow(5)`. Pure.

use crate::guest::{ADMIN_GROUPS, GuestSpec, group_id};

/// The lists, by their paths in the tree.
pub(super) const PASSWD: &str = "etc/passwd";
pub(super) const GROUP: &str = "etc/group";
pub(super) const SHADOW: &str = "etc/shadow";

/// The user that an image is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Accounts {
    user: String,
    uid: u32,
    gid: u32,
    home: String,
    /// Users of the image that are not to be there.
    removed: Vec<String>,
}

/// The lists of an image, and of one with the user in it. Images may do without `shadow`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lists {
    pub(super) passwd: String,
    pub(super) group: String,
    pub(super) shadow: Option<String>,
}

impl Accounts {
    pub(super) fn new(spec: &GuestSpec, removed: &[String], homes: &str) -> Self {
        Self {
            user: spec.user.clone(),
            uid: spec.uid,
            gid: group_id(spec.uid),
            home: format!("{homes}/{}", spec.user),
            removed: removed.to_vec(),
        }
    }

    /// The image's lists with the user. Whoever has its name or its number goes, as do those that are not to be there.
    pub(super) fn apply(&self, lists: &Lists) -> Lists {
        let mut gone = self.removed.clone();
        gone.push(self.user.clone());
        let mut passwd = Vec::new();
        for line in lists.passwd.lines() {
            let name = field(line, 0);
            // Root's number is never the user's.
            if field(line, 2).parse() == Ok(self.uid) {
                gone.push(name.to_owned());
            }
            if !gone.iter().any(|other| other == name) {
                passwd.push(line.to_owned());
            }
        }
        let password = if lists.shadow.is_some() { "x" } else { "*" };
        passwd.push(format!(
            "{}:{password}:{}:{}::{}:/bin/bash",
            self.user, self.uid, self.gid, self.home
        ));
        Lists {
            passwd: joined(&passwd),
            group: self.group(&lists.group, &gone),
            shadow: lists.shadow.as_deref().map(|text| self.shadow(text, &gone)),
        }
    }

    fn group(&self, text: &str, gone: &[String]) -> String {
        let is_gone = |name: &str| gone.iter().any(|other| other == name);
        let mut lines = Vec::new();
        for line in text.lines() {
            let name = field(line, 0);
            if is_gone(name) || field(line, 2).parse() == Ok(self.gid) {
                continue;
            }
            let Some((head, members)) = line.rsplit_once(':') else {
                lines.push(line.to_owned());
                continue;
            };
            let members = members.split(',').filter(|member| !member.is_empty());
            let mut members: Vec<&str> = members.filter(|member| !is_gone(member)).collect();
            if ADMIN_GROUPS.contains(&name) {
                members.push(&self.user);
            }
            lines.push(format!("{head}:{}", members.join(",")));
        }
        lines.push(format!("{}:x:{}:", self.user, self.gid));
        joined(&lines)
    }

    /// A password that nothing matches, which unlike a locked one lets keys in.
    fn shadow(&self, text: &str, gone: &[String]) -> String {
        let is_gone = |name: &str| gone.iter().any(|other| other == name);
        let kept = text.lines().filter(|line| !is_gone(field(line, 0)));
        let mut lines: Vec<String> = kept.map(str::to_owned).collect();
        lines.push(format!("{}:*:::::::", self.user));
        joined(&lines)
    }
}

fn field(line: &str, number: usize) -> &str {
    line.split(':').nth(number).unwrap_or_default()
}

fn joined(lines: &[String]) -> String {
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts(user: &str, removed: &[&str]) -> Accounts {
        Accounts {
            user: user.to_owned(),
            uid: 1000,
            gid: 1000,
            home: format!("/home/{user}"),
            removed: removed.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    #[test]
    fn a_user_takes_the_place_of_those_of_the_image() {
        let image = Lists {
            passwd: "root:x:0:0::/root:/bin/bash\nfedora:x:1000:1000::/home/fedora:/bin/bash\n\
                     core:x:1001:1001::/home/core:/bin/bash\n"
                .to_owned(),
            group:
                "root:x:0:\nwheel:x:10:fedora,core\nadm:x:4:syslog\nfedora:x:1000:\ncore:x:1001:\nusers1000:x:1000:core\n"
                    .to_owned(),
            shadow: Some("root:*:1::::::\nfedora:!:1::::::\ncore:!::::::".to_owned()),
        };
        let expected = Lists {
            passwd: "root:x:0:0::/root:/bin/bash\nanna:x:1000:1000::/home/anna:/bin/bash\n"
                .to_owned(),
            group: "root:x:0:\nwheel:x:10:anna\nadm:x:4:syslog,anna\nanna:x:1000:\n".to_owned(),
            shadow: Some("root:*:1::::::\nanna:*:::::::\n".to_owned()),
        };
        let anna = accounts("anna", &["core"]);
        assert_eq!(anna.apply(&image), expected);
        // Once more changes nothing.
        assert_eq!(anna.apply(&expected), expected);
    }

    #[test]
    fn an_image_without_shadow_has_the_password_in_passwd() {
        let image = Lists {
            passwd: "root:x:0:0::/root:/bin/sh".to_owned(),
            group: "root:x:0:\nodd\n".to_owned(),
            shadow: None,
        };
        let found = accounts("core", &[]).apply(&image);
        assert!(
            found
                .passwd
                .ends_with("\ncore:*:1000:1000::/home/core:/bin/bash\n")
        );
        assert_eq!(found.group, "root:x:0:\nodd\ncore:x:1000:\n");
        assert_eq!(found.shadow, None);
    }
}
