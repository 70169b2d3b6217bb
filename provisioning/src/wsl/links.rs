//! Where a path leads in a tree with symbolic links. Pure.

use std::collections::{BTreeMap, VecDeque};

/// How many links a path may go through; the kernel's own limit (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// The symbolic links of a tree, by their paths without the first slash.
#[derive(Debug, Default)]
pub(super) struct Links(BTreeMap<String, String>);

impl Links {
    pub(super) fn insert(&mut self, path: String, target: String) {
        self.0.insert(path, target);
    }

    /// Something else has this path now.
    pub(super) fn remove(&mut self, path: &str) {
        self.0.remove(path);
    }

    /// The path without links in its directories, and in its last part where `all`; `..` never leads out of the tree.
    /// `None` for one that goes through too many.
    pub(super) fn resolve(&self, path: &str, all: bool) -> Option<String> {
        let mut todo: VecDeque<String> = parts(path).map(str::to_owned).collect();
        let mut done: Vec<String> = Vec::new();
        let mut followed = 0;
        while let Some(part) = todo.pop_front() {
            if part == ".." {
                done.pop();
                continue;
            }
            done.push(part);
            if todo.is_empty() && !all {
                break;
            }
            let Some(target) = self.0.get(&done.join("/")) else {
                continue;
            };
            followed += 1;
            if followed > MOST_LINKS {
                return None;
            }
            done.pop();
            if target.starts_with('/') {
                done.clear();
            }
            for part in parts(target).rev() {
                todo.push_front(part.to_owned());
            }
        }
        Some(done.join("/"))
    }
}

fn parts(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|part| !matches!(*part, "" | "."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_where_the_kernel_would_go() {
        let mut links = Links::default();
        for (path, target) in [
            ("home", "var/home"),
            ("usr/local", "/var/usrlocal"),
            ("var/usrlocal", "../../../opt/./x"),
            ("loop", "loop"),
            ("etc/file", "/elsewhere"),
        ] {
            links.insert(path.to_owned(), target.to_owned());
        }
        let leads = |path: &str| links.resolve(path, false);
        assert_eq!(
            leads("home/core/.ssh").as_deref(),
            Some("var/home/core/.ssh")
        );
        assert_eq!(
            leads("usr/local/bin/docker").as_deref(),
            Some("opt/x/bin/docker")
        );
        assert_eq!(leads("etc/file").as_deref(), Some("etc/file"));
        assert_eq!(
            links.resolve("etc/file", true).as_deref(),
            Some("elsewhere")
        );
        assert_eq!(leads("loop/a"), None);
        for number in 0..=MOST_LINKS {
            links.insert(format!("n{number}"), format!("n{}", number + 1));
        }
        assert_eq!(links.resolve("n1", true).as_deref(), Some("n41"));
        assert_eq!(links.resolve("n0", true), None);
        links.remove("home");
        assert_eq!(
            links.resolve("home/core", false).as_deref(),
            Some("home/core")
        );
    }
}
