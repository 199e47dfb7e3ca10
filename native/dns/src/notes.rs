//! Which names readers want, in a file that outlives this process: clients of the next one are not to know more than readers
//! that are on their way back.

use crate::watch::Patterns;
use std::fs::File;
use std::os::unix::fs::FileExt;

pub struct Notes(File);

/// Of each reader.
pub type Wanted = Vec<Vec<String>>;

impl Notes {
    pub fn new(file: File) -> Notes {
        Notes(file)
    }

    pub fn read(&self) -> Wanted {
        let mut text = vec![0; self.0.metadata().map_or(0, |found| found.len()) as usize];
        if text.is_empty() || self.0.read_exact_at(&mut text, 0).is_err() {
            return Wanted::new();
        }
        // Who wrote it died in the middle of that: it may have been any name.
        serde_json::from_slice(&text).unwrap_or_else(|_| vec![vec!["*.".to_string()]])
    }

    /// At no moment it says that nothing is wanted.
    pub fn write(&self, wanted: &[&[String]]) {
        let write = || {
            let text = serde_json::to_vec(wanted)?;
            self.0.write_all_at(TORN, 0)?;
            self.0.write_all_at(&text[1..], 1)?;
            self.0.set_len(text.len() as u64)?;
            self.0.write_all_at(&text[..1], 0)
        };
        if let Err(error) = write() {
            eprintln!(
                "dns: cannot note what readers want: {error}; should this worker die, they hear of some answers late"
            );
        }
    }

    pub fn clear(&self) {
        let _ = self.0.set_len(0);
    }
}

/// All of them; what is no name was refused when it was said.
pub fn patterns<'a>(wanted: impl IntoIterator<Item = &'a String>) -> Option<Patterns> {
    let mut patterns = Patterns::default();
    let added = wanted.into_iter().filter(|pattern| patterns.add(pattern).is_ok()).count();
    (added > 0).then_some(patterns)
}

/// What follows is being written.
const TORN: &[u8] = b"?";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read_and_half_of_it_is_anything() {
        let path = std::env::temp_dir().join(format!("fairlead-notes-{}", std::process::id()));
        let file = File::options().create_new(true).read(true).write(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let notes = Notes::new(file.try_clone().unwrap());
        assert!(notes.read().is_empty());
        let (one, two) = (vec!["a.example.".to_string(), "*.b.".to_string()], vec!["c.".to_string()]);
        notes.write(&[&one, &two]);
        assert_eq!(notes.read(), [one.clone(), two]);
        notes.write(&[&one]);
        assert_eq!(notes.read(), [one]);
        file.write_all_at(TORN, 0).unwrap();
        assert_eq!(notes.read(), [["*."]]);
        assert!(patterns(notes.read().iter().flatten()).is_some());
        notes.clear();
        assert!(notes.read().is_empty() && patterns(notes.read().iter().flatten()).is_none());
    }
}
