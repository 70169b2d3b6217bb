//! Laying a tree into the stream of an image's tar file.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};

use tar::{EntryType, Header};

use super::accounts::{GROUP, Lists, PASSWD, SHADOW};
use super::archive::{self, Member, MemberKind};
use super::error::LayError;
use super::links::Links;
use super::{Kind, Tree};

/// Most members of a tree; an image of Fedora has 60,000.
const MOST_MEMBERS: u64 = 1 << 22;
/// Longest list of users.
const LIST_LIMIT: u64 = 1 << 20;
/// The program that makes a tree one that boots, at its two places.
const SYSTEMD: [&str; 2] = ["usr/lib/systemd/systemd", "lib/systemd/systemd"];

/// What was laid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Laid {
    /// Members of the image.
    pub members: u64,
    /// Bytes that were written.
    pub bytes: u64,
}

/// Writes the image's tree with ours in it. An image that unpacks to more than `limit` bytes is refused, as is one whose
/// members lead out of it. After an error, what was written is of no use.
pub fn lay(tree: &Tree, mut from: impl Read, to: impl Write, limit: u64) -> Result<Laid, LayError> {
    let mut work = Work {
        tree,
        to: Counted { to, bytes: 0 },
        limit,
        links: Links::default(),
        lists: [None, None, None],
        replaced: BTreeSet::new(),
        boots: false,
    };
    let mut members = 0;
    while let Some(member) = archive::next(&mut from)? {
        members += 1;
        if members > MOST_MEMBERS {
            return Err(LayError::TooMany(MOST_MEMBERS));
        }
        work.member(&member, &mut from)?;
    }
    work.finish()?;
    Ok(Laid {
        members,
        bytes: work.to.bytes,
    })
}

const LISTS: [&str; 3] = [PASSWD, GROUP, SHADOW];

struct Work<'a, W> {
    tree: &'a Tree,
    to: Counted<W>,
    limit: u64,
    links: Links,
    /// The image's lists of users, with their headers.
    lists: [Option<(Header, String)>; 3],
    /// Members that were left out, for ours come instead.
    replaced: BTreeSet<String>,
    boots: bool,
}

impl<W: Write> Work<'_, W> {
    fn member(&mut self, member: &Member, from: &mut impl Read) -> Result<(), LayError> {
        let path = member.path.as_str();
        if self.to.bytes.saturating_add(member.bytes) > self.limit {
            return Err(LayError::TooMuch(self.limit));
        }
        if member.kind == MemberKind::SymbolicLink {
            self.links.insert(path.to_owned(), member.target.clone());
        } else {
            self.links.remove(path);
        }
        if member.kind == MemberKind::HardLink {
            let target = archive::normal(&member.target)?;
            if LISTS.contains(&target.as_str()) || self.replaced.contains(&target) {
                return Err(refused(
                    path,
                    "is a second name of a file that is to be changed",
                ));
            }
        }
        if let Some(number) = LISTS.iter().position(|list| *list == path) {
            self.lists[number] = Some((member.header.clone(), list(member, from)?));
            return Ok(());
        }
        let ours = self.tree.entries.get(path);
        if let Some(ours) = ours {
            match (&ours.kind, member.kind) {
                (Kind::Directory, MemberKind::Directory | MemberKind::SymbolicLink) => {}
                (Kind::Directory, _) => {
                    return Err(refused(path, "is no directory, and has to be one"));
                }
                (_, MemberKind::Directory) => {
                    return Err(refused(path, "is a directory, and has to be a file"));
                }
                _ => {
                    self.replaced.insert(path.to_owned());
                    skip(from, archive::padded(member.bytes))?;
                    return Ok(());
                }
            }
        }
        self.boots |= SYSTEMD.contains(&path);
        self.to.write_all(&member.head).map_err(LayError::Write)?;
        copy(from, &mut self.to, archive::padded(member.bytes))
    }

    fn finish(&mut self) -> Result<(), LayError> {
        if !self.boots {
            return Err(LayError::NoSystemd);
        }
        let [passwd, group, shadow] = std::mem::take(&mut self.lists);
        let (passwd_header, passwd) = passwd.ok_or(LayError::NoUsers(PASSWD))?;
        let (group_header, group) = group.ok_or(LayError::NoUsers(GROUP))?;
        let (shadow_header, shadow) = shadow.unzip();
        let lists = self.tree.accounts.apply(&Lists {
            passwd,
            group,
            shadow,
        });
        self.list(PASSWD, &passwd_header, &lists.passwd)?;
        self.list(GROUP, &group_header, &lists.group)?;
        if let (Some(header), Some(text)) = (shadow_header, lists.shadow) {
            self.list(SHADOW, &header, &text)?;
        }
        // Their order is that of their paths, so directories come first.
        for (path, entry) in &self.tree.entries {
            let is_directory = entry.kind == Kind::Directory;
            let place = self
                .links
                .resolve(path, is_directory)
                .ok_or_else(|| refused(path, "leads through too many links"))?;
            let ids = (entry.mode, entry.uid, entry.gid);
            let (kind, contents) = match &entry.kind {
                Kind::Directory => (EntryType::Directory, ""),
                Kind::File(text) => (EntryType::Regular, text.as_str()),
                Kind::Link(target) => (EntryType::Symlink, target.as_str()),
            };
            let name = if is_directory {
                format!("{place}/")
            } else {
                place
            };
            archive::write(&mut self.to, &name, kind, ids, contents.as_bytes())?;
        }
        self.to
            .write_all(&[0; 2 * archive::BLOCK])
            .and_then(|()| self.to.flush())
            .map_err(LayError::Write)
    }

    /// A list of users as the image has it, with other contents.
    fn list(&mut self, path: &str, header: &Header, text: &str) -> Result<(), LayError> {
        let number = |number: io::Result<u64>| {
            let number = number.ok().and_then(|number| u32::try_from(number).ok());
            number.ok_or(LayError::Damaged(
                "the owner of a list of users is no number",
            ))
        };
        let mode = header
            .mode()
            .map_err(|_| LayError::Damaged("the mode of a list of users is no number"))?;
        let ids = (mode, number(header.uid())?, number(header.gid())?);
        archive::write(&mut self.to, path, EntryType::Regular, ids, text.as_bytes())
    }
}

fn refused(path: &str, what: &'static str) -> LayError {
    LayError::Member {
        path: path.to_owned(),
        what,
    }
}

/// The text of a list of users.
fn list(member: &Member, from: &mut impl Read) -> Result<String, LayError> {
    let path = member.path.as_str();
    if member.kind != MemberKind::File || member.header.entry_type() == EntryType::GNUSparse {
        return Err(refused(path, "is no plain file"));
    }
    if member.bytes > LIST_LIMIT {
        return Err(refused(path, "is too large"));
    }
    let mut bytes = Vec::new();
    copy(from, &mut bytes, archive::padded(member.bytes))?;
    bytes.truncate(usize::try_from(member.bytes).unwrap_or_default());
    String::from_utf8(bytes).map_err(|_| refused(path, "is no text"))
}

fn skip(from: &mut impl Read, bytes: u64) -> Result<(), LayError> {
    copy(from, &mut io::sink(), bytes)
}

/// Copies just as many bytes, and tells which side failed.
fn copy(from: &mut impl Read, to: &mut impl Write, bytes: u64) -> Result<(), LayError> {
    let mut buffer = vec![0; 64 << 10];
    let mut left = bytes;
    while left > 0 {
        let piece = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let piece = &mut buffer[..piece];
        from.read_exact(piece).map_err(LayError::reading)?;
        to.write_all(piece).map_err(LayError::Write)?;
        left -= piece.len() as u64;
    }
    Ok(())
}

/// A writer that knows how much it was given.
struct Counted<W> {
    to: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
#[path = "lay_tests.rs"]
mod tests;
