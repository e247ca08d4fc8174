//! Where the rehearsal takes place, and how a fault is brought about there.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use rustix::process::geteuid;
use tokio::sync::Mutex;
use tokio::time;

use crate::faults::{Fault, Kind};
use crate::record::Record;
use crate::replica::Replica;
use crate::times::times;
use crate::{Outcome, Result};

/// How long an operator tries to have a command carried out: until there is another standby, also
/// where the store refuses to take one in for a while. And how long a writer is looked for.
const PERSISTENCE: Duration = Duration::from_secs(60);

/// The processes, the store they share, and what was done to them.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) replicas: Vec<Mutex<Replica>>,
    pub(crate) record: Record,
    store: PathBuf,
    /// One fault of the store at a time.
    store_fault: Mutex<()>,
    began: Instant,
    happened: StdMutex<Happened>,
}

/// What went wrong so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Happened {
    pub(crate) counts: BTreeMap<Kind, u64>,
    /// Faults that could not be brought about, or did not have the effect that they must have.
    pub(crate) flaws: Vec<String>,
    /// The keys that operators have revoked, and when they set about it.
    pub(crate) revoked: BTreeMap<String, SystemTime>,
}

impl Stage {
    pub(crate) fn new(replicas: Vec<Replica>, store: &Path) -> Self {
        Self {
            replicas: replicas.into_iter().map(Mutex::new).collect(),
            record: Record::start(store.join("manifest.json")),
            store: store.to_owned(),
            store_fault: Mutex::new(()),
            began: Instant::now(),
            happened: StdMutex::default(),
        }
    }

    /// Brings about a fault when its time has come, and mends it when that is over.
    pub(crate) async fn play(self: Arc<Self>, fault: Fault) {
        time::sleep_until((self.began + fault.at).into()).await;
        let outcome = match fault.kind {
            Kind::ReadOnly | Kind::Lock => self.refuse_writes(&fault).await,
            Kind::FreezeWriter => self.freeze_writer(&fault).await,
            Kind::Switch => self.switch(&fault).await,
            Kind::Revoke => self.revoke(&fault).await,
            _ => self.harm(&fault).await,
        };
        let mut happened = self.happened.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(()) => *happened.counts.entry(fault.kind).or_default() += 1,
            Err(error) => {
                let flaw = format!("{}: {error}", fault.kind.name());
                self.tell(&format!("FLAW: {flaw}"));
                happened.flaws.push(flaw);
            }
        }
    }

    pub(crate) fn happened(&self) -> Happened {
        let happened = self.happened.lock().unwrap_or_else(PoisonError::into_inner);
        happened.clone()
    }

    pub(crate) fn tell(&self, what: &str) {
        println!("{:7.2} s  {what}", self.began.elapsed().as_secs_f64());
    }

    /// What happens to the replica that the plan names. Others may meet with something else meanwhile.
    async fn harm(&self, fault: &Fault) -> Outcome {
        let mut replica = self.replicas[fault.replica].lock().await;
        let name = replica.name().to_owned();
        let lasts = fault.lasts.as_secs_f64();
        match fault.kind {
            Kind::Kill => {
                self.tell(&format!("{name} is killed, and started {lasts:.1} s later"));
                replica.kill().await?;
                time::sleep(fault.lasts).await;
                replica.start(false).await
            }
            Kind::Pause | Kind::Freeze => {
                self.tell(&format!("{name} is stopped for {lasts:.1} s"));
                replica.stop().await?;
                time::sleep(fault.lasts).await;
                replica.resume()
            }
            Kind::CutOff | Kind::LongCutOff => {
                self.tell(&format!(
                    "{name} is cut off from the store for {lasts:.1} s"
                ));
                replica.cut_off()?;
                time::sleep(fault.lasts).await;
                let refusals = replica.refusals().await;
                replica.join()?;
                refuses_all(refusals?, "its lease has run out")
            }
            Kind::ShiftClock => {
                let ahead_by = fault.ahead_by;
                self.tell(&format!("{name}'s clock is set {ahead_by} ms ahead"));
                replica.set_clock(ahead_by).await
            }
            Kind::JumpBack => {
                let before = replica.ahead_by();
                let errors = times().clock_errors().as_millis();
                let back = i64::try_from(errors)?.saturating_add(8000);
                self.tell(&format!(
                    "{name}'s clock goes back by {back} ms for {lasts:.1} s"
                ));
                replica.set_clock(before - back).await?;
                time::sleep(fault.lasts).await;
                let refusals = replica.refusals().await;
                replica.set_clock(before).await?;
                refuses_all(refusals?, "its clock went back")
            }
            Kind::FreezeWriter | Kind::ReadOnly | Kind::Lock | Kind::Switch | Kind::Revoke => {
                Ok(())
            }
        }
    }

    /// Stops whichever replica is the first to be seen writing to the store's own folder.
    async fn freeze_writer(&self, fault: &Fault) -> Outcome {
        let temporary = fs::canonicalize(&self.store)?.join(".chancery-new");
        let until = Instant::now() + PERSISTENCE;
        while Instant::now() < until {
            for replica in &self.replicas {
                if temporary.exists()
                    && let Ok(replica) = replica.try_lock()
                    && replica.stop_with_open(&temporary).await?
                {
                    let (name, lasts) = (replica.name(), fault.lasts.as_secs_f64());
                    self.tell(&format!(
                        "{name} is stopped while it writes, for {lasts:.1} s"
                    ));
                    time::sleep(fault.lasts).await;
                    return replica.resume();
                }
            }
            time::sleep(Duration::from_millis(1)).await;
        }
        Err("nobody was seen writing".into())
    }

    /// Lets the store refuse every change for a while.
    async fn refuse_writes(&self, fault: &Fault) -> Outcome {
        let _turn = self.store_fault.lock().await;
        let lasts = fault.lasts.as_secs_f64();
        let hindrance = if fault.kind == Kind::Lock {
            self.tell(&format!("the store is locked for {lasts:.1} s"));
            Hindrance::lock(&self.store).await?
        } else {
            self.tell(&format!("the store is read-only for {lasts:.1} s"));
            Hindrance::read_only(&self.store)?
        };
        // A change that was just about to be made is through by then.
        time::sleep(Duration::from_millis(100)).await;
        let begin = SystemTime::now();
        time::sleep(fault.lasts).await;
        let end = SystemTime::now();
        drop(hindrance);
        self.tell("the store can be written");
        let revisions = self.record.revisions();
        let slipped = revisions
            .iter()
            .find(|(_, revision)| (begin..end).contains(&revision.seen_at));
        match slipped {
            None => Ok(()),
            Some((number, _)) => Err(format!("revision {number} was written all the same").into()),
        }
    }

    async fn switch(&self, fault: &Fault) -> Outcome {
        let name = fault.algorithm.name();
        self.insist(|| Ok(format!("switch?algorithm={name}"))).await
    }

    async fn revoke(&self, fault: &Fault) -> Outcome {
        self.insist(|| {
            let now = SystemTime::now();
            let revisions = self.record.revisions();
            let latest = revisions.values().next_back();
            let kid =
                latest.and_then(|latest| latest.active(fault.algorithm, now.try_into().ok()?));
            let kid = kid.ok_or("no key signs")?.to_owned();
            let mut happened = self.happened.lock().unwrap_or_else(PoisonError::into_inner);
            happened.revoked.entry(kid.clone()).or_insert(now);
            Ok(format!("revoke?kid={kid}"))
        })
        .await
    }

    /// Has an operator's command carried out by whichever replica can.
    async fn insist(&self, command: impl Fn() -> Result<String>) -> Outcome {
        let until = Instant::now() + PERSISTENCE;
        loop {
            let mut why = "no replica is there".to_owned();
            for replica in &self.replicas {
                // One that something is happening to would not answer.
                let Ok(replica) = replica.try_lock() else {
                    continue;
                };
                let command = command()?;
                match replica.post(&command).await {
                    Ok(()) => {
                        self.tell(&format!("an operator at {}: {command}", replica.name()));
                        return Ok(());
                    }
                    Err(error) => why = error.to_string(),
                }
            }
            if Instant::now() > until {
                return Err(why.into());
            }
            time::sleep(Duration::from_millis(500)).await;
        }
    }
}

fn refuses_all(refusals: usize, why: &str) -> Outcome {
    if refusals == 3 {
        Ok(())
    } else {
        Err(format!("{why}, and it refuses {refusals} of JWKS, readiness and token").into())
    }
}

/// What keeps everybody from writing, until it is dropped.
#[derive(Debug)]
enum Hindrance {
    Locked { _file: File },
    ReadOnly { folder: PathBuf },
}

impl Hindrance {
    /// Takes the lock that every writer takes.
    async fn lock(store: &Path) -> Result<Self> {
        let file = File::options()
            .write(true)
            .open(store.join(".chancery-lock"))?;
        while file.try_lock().is_err() {
            time::sleep(Duration::from_millis(1)).await;
        }
        Ok(Self::Locked { _file: file })
    }

    /// Lets the file system refuse. Root may write where it is forbidden, but not what is immutable.
    fn read_only(store: &Path) -> Result<Self> {
        if geteuid().is_root() {
            let folder = File::open(store)?;
            ioctl_getflags(&folder)
                .and_then(|flags| ioctl_setflags(&folder, flags | IFlags::IMMUTABLE))
                .map_err(|error| {
                    format!("{} cannot be made immutable: {error}", store.display())
                })?;
        } else {
            fs::set_permissions(store, Permissions::from_mode(0o500))?;
        }
        Ok(Self::ReadOnly {
            folder: store.to_owned(),
        })
    }
}

impl Drop for Hindrance {
    fn drop(&mut self) {
        if let Self::ReadOnly { folder } = self
            && let Err(error) = release(folder)
        {
            eprintln!("{} stays read-only: {error}", folder.display());
        }
    }
}

/// Lets a folder be written again.
pub(crate) fn release(folder: &Path) -> Outcome {
    if !folder.exists() {
        return Ok(());
    }
    if geteuid().is_root() {
        let folder = File::open(folder)?;
        // Where the file system knows no such flag, it was not set.
        if let Ok(flags) = ioctl_getflags(&folder) {
            ioctl_setflags(&folder, flags - IFlags::IMMUTABLE)?;
        }
        Ok(())
    } else {
        Ok(fs::set_permissions(folder, Permissions::from_mode(0o700))?)
    }
}
