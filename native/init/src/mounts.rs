use cli::{Failure, failed, usage};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs;
use std::path::{Path, PathBuf};

/// What a container sees other than the machine does. Made in a mount namespace of one's own.
pub struct Mounts {
    pub tmpfs: Vec<PathBuf>,
    pub binds: Vec<Bind>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Bind {
    pub source: PathBuf,
    pub target: PathBuf,
    pub read_only: bool,
}

impl Bind {
    pub fn parse(text: &str) -> Result<Bind, Failure> {
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, read_only) = match parts[..] {
            [source, target] => (source, target, false),
            [source, target, "ro"] => (source, target, true),
            _ => return Err(usage(format!("--bind {text} is not SRC:DST or SRC:DST:ro"))),
        };
        if source.is_empty() || !target.starts_with('/') {
            return Err(usage(format!("--bind {text} needs a source and an absolute target")));
        }
        Ok(Bind { source: source.into(), target: target.into(), read_only })
    }
}

impl Mounts {
    /// `new_network`: also mount a sysfs that shows this network namespace, where the kernel permits it.
    pub fn make(&self, new_network: bool) -> Result<(), Failure> {
        // Nothing that is mounted here may show outside.
        mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)
            .map_err(failed("cannot make mounts private"))?;
        if new_network {
            sysfs();
        }
        // A source may lie under a tmpfs that is about to hide it, so all sources are opened first.
        let sources = self.binds.iter().map(Bind::open).collect::<Result<Vec<_>, _>>()?;
        for directory in &self.tmpfs {
            mount(
                Some("tmpfs"),
                directory,
                Some("tmpfs"),
                MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
                Some("mode=1777,size=256m"),
            )
            .map_err(failed(format!("cannot mount a tmpfs at {}", directory.display())))?;
        }
        for (bind, source) in self.binds.iter().zip(sources) {
            let in_tmpfs = self.tmpfs.iter().any(|directory| bind.target.starts_with(directory));
            match bind.make_target(&source) {
                Err(failure) if in_tmpfs => return Err(failure),
                // Where it may not be made, mounting says so.
                _ => bind.make(&source)?,
            }
        }
        Ok(())
    }
}

impl Bind {
    fn open(&self) -> Result<fs::File, Failure> {
        let path = nix::fcntl::OFlag::O_PATH.bits() | nix::fcntl::OFlag::O_CLOEXEC.bits();
        let mut options = fs::OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, path);
        options.read(true).open(&self.source).map_err(failed(format!("cannot open {}", self.source.display())))
    }

    fn make_target(&self, source: &fs::File) -> Result<(), Failure> {
        if self.target.exists() {
            return Ok(());
        }
        let cannot = format!("cannot make the mount point {}", self.target.display());
        if source.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return fs::create_dir_all(&self.target).map_err(failed(cannot));
        }
        let parent = self.target.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(parent).and_then(|()| fs::write(&self.target, "")).map_err(failed(cannot))
    }

    fn make(&self, source: &fs::File) -> Result<(), Failure> {
        let from = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(source));
        let cannot = |error: nix::Error| {
            let missing = if self.target.exists() { "" } else { "; the target does not exist: make it first" };
            Failure::Failed(format!(
                "cannot show {} at {}: {error}{missing}",
                self.source.display(),
                self.target.display()
            ))
        };
        mount(Some(from.as_str()), &self.target, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE).map_err(cannot)?;
        if self.read_only {
            let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
            mount(NONE, &self.target, NONE, flags, NONE).map_err(cannot)?;
        }
        Ok(())
    }
}

/// A /proc that shows the PID namespace of the caller, who must be inside it.
pub fn proc() -> Result<(), Failure> {
    mount(Some("proc"), "/proc", Some("proc"), GUARDED, NONE).map_err(failed(
        "cannot mount /proc (a user namespace may do so only where the machine's own /proc is fully visible)",
    ))
}

/// As `ip netns exec` does. Refused in some user namespaces: then /sys keeps showing the devices of the outer namespace.
fn sysfs() {
    if mount(Some("sysfs"), "/sys", Some("sysfs"), GUARDED, NONE).is_err()
        && umount2("/sys", MntFlags::MNT_DETACH).is_ok()
    {
        let _ = mount(Some("sysfs"), "/sys", Some("sysfs"), GUARDED, NONE);
    }
}

const NONE: Option<&str> = None;
const GUARDED: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binds_are_parsed_strictly() {
        let bind = Bind::parse("/a:/b:ro").unwrap();
        assert_eq!(bind, Bind { source: "/a".into(), target: "/b".into(), read_only: true });
        assert!(!Bind::parse("a:/b").unwrap().read_only);
        for text in ["/a", "/a:b", ":/b", "/a:/b:rw", "/a:/b:ro:x"] {
            assert!(Bind::parse(text).is_err(), "{text}");
        }
    }
}
