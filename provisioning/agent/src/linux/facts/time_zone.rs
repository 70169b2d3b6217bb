//! The time zone: the link `/etc/localtime`.

use std::path::Path;

use super::{Applied, Problem, failed};
use crate::linux::files;
use crate::linux::paths::Paths;

/// Where the zones lie, as seen from `/etc`.
const ZONES: &str = "../usr/share/zoneinfo";

/// Gives the guest this zone. Without one it keeps what it has: there is no knowing what it was before.
pub(super) fn apply(paths: &Paths, zone: Option<&str>) -> Result<Applied, Problem> {
    let Some(zone) = zone else {
        return Ok(Applied::Unused);
    };
    let etc = paths.root().join("etc");
    let target = Path::new(ZONES).join(zone);
    if zone.split('/').any(|word| word.is_empty() || word == "..") || !etc.join(&target).is_file() {
        return Err(format!("the guest does not know the time zone `{zone}`"));
    }
    files::link(&etc.join("localtime"), &target)
        .map_err(failed("the guest's time zone cannot be set"))?;
    Ok(Applied::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::program::testing::Stub;

    #[test]
    fn set_changed_and_kept() {
        let stub = Stub::new();
        stub.put("etc/x", "");
        stub.put("usr/share/zoneinfo/Europe/Berlin", "TZif");
        stub.put("usr/share/zoneinfo/UTC", "TZif");
        stub.put("secret", "");
        let apply = |zone| super::apply(&stub.paths, zone);
        let link = || fs_err::read_link(stub.path("etc/localtime")).ok();
        assert_eq!(apply(None), Ok(Applied::Unused));
        assert_eq!(link(), None);
        for zone in ["Europe/Berlin", "UTC", "UTC"] {
            assert_eq!(apply(Some(zone)), Ok(Applied::Done));
            assert_eq!(link(), Some(Path::new(ZONES).join(zone)));
        }
        for zone in ["Europe/Nowhere", "Europe", "", "../../../secret", "/UTC"] {
            assert_eq!(
                apply(Some(zone)),
                Err(format!("the guest does not know the time zone `{zone}`"))
            );
        }
        assert_eq!(apply(None), Ok(Applied::Unused));
        assert_eq!(link(), Some(Path::new(ZONES).join("UTC")));
    }
}
