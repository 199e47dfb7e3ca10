//! What the controller says, and what comes of it.

use crate::delta::Delta;
use crate::keeper::Load;
use crate::kind::Committed;
use crate::log::Log;
use crate::ports::{Asked, Plan};
use crate::supervisor::Supervisor;
use std::io;
use wire::LINE_MAX_BYTES;
use wire::protocol::{
    Acknowledged, Answer, Ask, Begin, Failed, FromCarrier, Question, RefusedRow, RefusedRows, Revision, ToCarrier,
};

impl Supervisor {
    /// One line. Err: it is not the protocol.
    pub async fn follow(&mut self, line: &[u8]) -> Result<(), String> {
        let message: ToCarrier = serde_json::from_slice(line)
            .map_err(|error| format!("what came is no message of this protocol: {error}"))?;
        match message {
            ToCarrier::Begin(begin) => self.begin(begin)?,
            ToCarrier::Put(rows) => self.change(|delta, log, kind, held| {
                rows.iter().try_for_each(|(key, row)| delta.put(kind, log, key, row.get(), held))
            })?,
            ToCarrier::Drop(keys) => {
                self.change(|delta, log, _, _| keys.iter().try_for_each(|key| delta.drop_key(log, key)))?
            }
            ToCarrier::Commit(_) => {
                let (delta, new) = self.delta.take().ok_or("commit without a begin")?;
                if !delta.dead {
                    self.commit(delta, new).await;
                }
            }
            ToCarrier::Ask(Ask { id, what }) => self.answer(id, what).await,
            ToCarrier::Figures(figures) => self.figures = Some(figures.text),
        }
        Ok(())
    }

    fn begin(&mut self, begin: Begin) -> Result<(), String> {
        if self.delta.is_some() {
            return Err("begin within a delta".to_string());
        }
        if begin.epoch.is_empty() || begin.epoch.len() > EPOCH_MAX_BYTES {
            return Err(format!("an epoch has 1 to {EPOCH_MAX_BYTES} octets"));
        }
        let asks = self.kind.asks(&begin.table);
        let asked = if begin.from == 0 || !asks { Asked::new() } else { self.ports.asked(&begin.table) };
        let (log, problem) = match self.acceptable(&begin) {
            Ok(log) => (log, None),
            Err(reason) => (None, Some(reason)),
        };
        let mut delta = Delta::new(begin, asked);
        if let Some(reason) = problem {
            delta.dead = true;
            self.fail(&delta, &reason);
        }
        self.delta = Some((delta, log));
        Ok(())
    }

    /// The new log of a delta from 0.
    fn acceptable(&mut self, begin: &Begin) -> Result<Option<Log>, String> {
        let Begin { table, epoch, from, .. } = begin;
        if !self.kind.tables().contains(&table.as_str()) {
            return Err(format!("there is no table {table:?}; there is {}", self.kind.tables().join(", ")));
        }
        if *from == 0 {
            let kind = self.kind;
            let log = self.shelf.create(table, &|text| eprintln!("fairlead-carrier {}: {text}", kind.name()));
            return log.map(Some).map_err(|error| format!("there is no place for the table: {error}"));
        }
        match self.shelf.log(table).and_then(Log::revision) {
            Some(held) if held.number == *from && held.epoch == *epoch => Ok(None),
            Some(held) => Err(format!("{} of {:?} is held, not {from} of {epoch:?}", held.number, held.epoch)),
            None => Err(format!("nothing is held, not {from} of {epoch:?}")),
        }
    }

    fn change(
        &mut self,
        act: impl FnOnce(&mut Delta, &mut Log, &dyn crate::Kind, usize) -> io::Result<()>,
    ) -> Result<(), String> {
        let Some((delta, new)) = &mut self.delta else { return Err("rows without a begin".to_string()) };
        if delta.dead {
            return Ok(());
        }
        let held =
            if delta.begin.from == 0 { 0 } else { self.keeper.rows.get(&delta.begin.table).copied().unwrap_or(0) };
        let log = match new {
            Some(log) => log,
            None => self.shelf.log_mut(&delta.begin.table).expect("it was there when the delta began"),
        };
        if let Err(error) = act(delta, log, self.kind, held) {
            let (mut delta, new) = self.delta.take().expect("it was there a moment ago");
            self.spoil(&mut delta, new, &error.to_string(), Some(&error));
            self.delta = Some((delta, None));
        }
        Ok(())
    }

    async fn commit(&mut self, mut delta: Delta, mut new: Option<Log>) {
        let table = delta.begin.table.clone();
        let mut plan = match self.kind.asks(&table) {
            true => self.ports.plan(&table, std::mem::take(&mut delta.asked)),
            false => Plan::default(),
        };
        let refused = std::mem::take(&mut plan.refused);
        let committed = match self.hand_over(&mut delta, &mut new, refused).await {
            Ok(Ok(committed)) => committed,
            Ok(Err(reason)) => return self.spoil(&mut delta, new, &reason, None),
            Err(why) => {
                self.spoil(&mut delta, new, &why, None);
                return self.tend_dead(why).await;
            }
        };
        let revision = Revision { epoch: delta.begin.epoch.clone(), number: delta.begin.to };
        if let Err(error) = self.seal(&mut delta, &mut new, committed, revision) {
            return self.spoil(&mut delta, new, &error.to_string(), Some(&error));
        }
        if let Some(log) = new {
            self.shelf.replace(&table, log);
        }
        let served = self.open(&table, plan).await;
        self.acknowledge(&delta);
        if let Err(error) = self.shelf.compact(&table) {
            self.say(&format!("table {table} could not be made compact: {error}"));
        }
        if let Err(why) = served {
            self.tend_dead(why).await;
        }
    }

    /// To the worker. Err: it is dead; Ok(Err): it refuses the delta as a whole.
    async fn hand_over(
        &mut self,
        delta: &mut Delta,
        new: &mut Option<Log>,
        refused: Vec<RefusedRow>,
    ) -> Result<Result<Committed, String>, String> {
        if self.keeper.id().is_none() {
            return Ok(Err("there is no worker at the moment; one is being started".to_string()));
        }
        let log = match new {
            Some(log) => log,
            None => self.shelf.log_mut(&delta.begin.table).expect("it was there when the delta began"),
        };
        let prepare = || {
            refused.into_iter().try_for_each(|row| delta.refuse(log, row))?;
            Ok::<_, io::Error>((log.pending()?, log.share()?))
        };
        match prepare() {
            Ok((range, file)) => {
                let Begin { table, epoch, from, .. } = &delta.begin;
                self.keeper.load(Load { table, whole: *from == 0, epoch, file, range }).await
            }
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    fn seal(
        &mut self,
        delta: &mut Delta,
        new: &mut Option<Log>,
        committed: Committed,
        revision: Revision,
    ) -> io::Result<()> {
        let log = match new {
            Some(log) => log,
            None => self.shelf.log_mut(&delta.begin.table).expect("it was there when the delta began"),
        };
        committed.refused.into_iter().try_for_each(|row| delta.refuse(log, row))?;
        log.commit(revision)
    }

    /// The sockets that the table wants now, and no others of it. Err: the worker is dead.
    async fn open(&mut self, table: &str, plan: Plan) -> Result<(), String> {
        if !self.kind.asks(table) {
            return self.keeper.probe().await;
        }
        let (opened, closed) = self.ports.commit(table, plan);
        let served = match self.keeper.listen(&self.ports, opened, closed).await {
            Ok(()) => self.keeper.probe().await,
            Err(why) => Err(why),
        };
        // Now that it is known how ready the worker is with these: /ready must not say more in its first answers.
        self.open_pages();
        served
    }

    fn acknowledge(&mut self, delta: &Delta) {
        self.counts.commits += 1;
        self.counts.refused += delta.refused.len() as u64;
        let Begin { table, epoch, to, .. } = delta.begin.clone();
        if delta.refused.is_empty() {
            return self.tell(FromCarrier::Acknowledged(Acknowledged { table, epoch, number: to }));
        }
        let mut lines = lines(delta.refused.values().cloned());
        let last = lines.pop().unwrap_or_default();
        let refused = |rows, more| {
            FromCarrier::Refused(RefusedRows { table: table.clone(), epoch: epoch.clone(), number: to, rows, more })
        };
        lines.into_iter().for_each(|rows| self.tell(refused(rows, true)));
        self.tell(refused(last, false));
    }

    /// Nothing of the delta is in force; `disk`: because of what the disk said.
    fn spoil(&mut self, delta: &mut Delta, new: Option<Log>, reason: &str, disk: Option<&io::Error>) {
        self.undo(delta, new);
        if let Some(error) = disk {
            let kind = self.kind;
            self.shelf.refuse(error, &|text| eprintln!("fairlead-carrier {}: {text}", kind.name()));
        }
        delta.dead = true;
        self.fail(delta, reason);
    }

    fn fail(&mut self, delta: &Delta, reason: &str) {
        self.counts.failures += 1;
        let table = delta.begin.table.clone();
        self.tell(FromCarrier::Failed(Failed { table, reason: reason.to_string() }));
    }

    /// The controller is gone, or another one has come: what was not committed is forgotten.
    pub fn abandon(&mut self) {
        if let Some((delta, new)) = self.delta.take()
            && !delta.dead
        {
            self.undo(&delta, new);
        }
    }

    fn undo(&mut self, delta: &Delta, new: Option<Log>) {
        let undone = match new {
            Some(log) => log.remove(),
            None => self.shelf.log_mut(&delta.begin.table).map_or(Ok(()), Log::rollback),
        };
        if let Err(error) = undone {
            self.say(&format!("what was not committed of table {} is still on the disk: {error}", delta.begin.table));
        }
    }

    async fn answer(&mut self, id: u32, what: Question) {
        let answer = match what {
            Question::Metrics => Ok(self.metrics().await.into()),
            Question::Stats => Ok(self.stats().await),
            explain => match self.keeper.question(explain).await {
                Ok(answer) => answer,
                Err(why) => Err(why),
            },
        };
        let (value, error) = match answer {
            Ok(value) if value.to_string().len() > LINE_MAX_BYTES - ROW_EXTRA_BYTES => {
                (None, Some("the answer is longer than 1 MiB".to_string()))
            }
            Ok(value) => (Some(value), None),
            Err(error) => (None, Some(error)),
        };
        self.tell(FromCarrier::Answer(Answer { id, value, error }));
    }
}

/// As many as a line holds each.
fn lines(rows: impl Iterator<Item = RefusedRow>) -> Vec<Vec<RefusedRow>> {
    let mut lines = vec![Vec::new()];
    let mut octets = 0;
    for row in rows {
        // In the worst case an octet takes six: \u0000.
        let more = 6 * (row.key.len() + row.reason.len() + row.remedy.len()) + ROW_EXTRA_BYTES;
        if octets + more > LINE_MAX_BYTES - ROW_EXTRA_BYTES && octets > 0 {
            lines.push(Vec::new());
            octets = 0;
        }
        octets += more;
        lines.last_mut().expect("there is one").push(row);
    }
    lines
}

const EPOCH_MAX_BYTES: usize = 64;
const ROW_EXTRA_BYTES: usize = 1024;
