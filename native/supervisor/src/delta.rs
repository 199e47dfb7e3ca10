//! A delta on its way: from `begin` to `commit`. What is wrong with a row is its own fault; what is wrong with the delta
//! ends it, and the rest of its lines is passed over.

use crate::kind::{Kind, Problem};
use crate::log::Log;
use crate::ports::Asked;
use std::collections::BTreeMap;
use std::io;
use wire::protocol::{Begin, RefusedRow};
use wire::{KEY_MAX_BYTES, ROWS_MAX};

pub struct Delta {
    pub begin: Begin,
    /// `failed` was said.
    pub dead: bool,
    pub refused: BTreeMap<String, RefusedRow>,
    /// What the rows of the table will want; only kept for tables that ask.
    pub asked: Asked,
    puts: usize,
    packed: Vec<u8>,
}

impl Delta {
    pub fn new(begin: Begin, asked: Asked) -> Delta {
        Delta { begin, dead: false, refused: BTreeMap::new(), asked, puts: 0, packed: Vec::new() }
    }

    /// `held`: rows of the table before the delta. Err: the delta fails.
    pub fn put(&mut self, kind: &dyn Kind, log: &mut Log, key: &str, row: &str, held: usize) -> io::Result<()> {
        self.puts += 1;
        if self.puts + held > ROWS_MAX {
            return Err(io::Error::other(format!("the table has more than {ROWS_MAX} rows")));
        }
        let table = &self.begin.table;
        self.packed.clear();
        let packed = match acceptable(key) {
            Ok(()) => kind.pack(table, key, row, &mut self.packed),
            Err(refusal) => Err(refusal),
        };
        match packed {
            Ok(()) => {
                self.refused.remove(key);
                if kind.asks(table) {
                    self.asked.insert(key.to_string(), kind.wants(table, key, &self.packed));
                }
                log.put(key, &self.packed)
            }
            Err(Problem { reason, remedy }) => self.refuse(log, RefusedRow { key: key.to_string(), reason, remedy }),
        }
    }

    pub fn drop_key(&mut self, log: &mut Log, key: &str) -> io::Result<()> {
        self.refused.remove(key);
        self.asked.remove(key);
        if acceptable(key).is_err() {
            return Ok(()); // it was never held
        }
        log.drop_key(key)
    }

    /// Nothing is held under the key of a row that is refused.
    pub fn refuse(&mut self, log: &mut Log, row: RefusedRow) -> io::Result<()> {
        self.asked.remove(&row.key);
        if acceptable(&row.key).is_ok() {
            log.drop_key(&row.key)?;
        }
        self.refused.insert(row.key.clone(), row);
        Ok(())
    }
}

fn acceptable(key: &str) -> Result<(), Problem> {
    if key.is_empty() || key.len() > KEY_MAX_BYTES {
        return Err(Problem {
            reason: format!("its key has {} octets", key.len()),
            remedy: format!("a key has 1 to {KEY_MAX_BYTES}"),
        });
    }
    Ok(())
}
