//! The status as a table.

use std::fmt;

use chancery_core::rotation::{Action, Role, Step};

use super::words::{between, duration, relative, short};
use super::{KeyStatus, LaneStatus, Status};

/// How wide the text is, as far as its words allow.
const WIDTH: usize = 80;

const COLUMNS: [&str; 7] = ["LANE", "KEY", "STATE", "FOR", "BACKEND", "HERE", "NEXT"];

/// Shows a table that fits a terminal. With `{:#}` each `kid` is whole.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.heading(f)?;
        let rows: Vec<[String; 7]> = self
            .present_keys()
            .map(|key| self.row(key, f.alternate()))
            .collect();
        if !rows.is_empty() {
            writeln!(f)?;
            table(f, &rows)?;
        }
        match self.keys.len() - rows.len() {
            0 => {}
            1 => writeln!(f, "1 older key is over.")?,
            over => writeln!(f, "{over} older keys are over.")?,
        }
        if !self.lanes.is_empty() {
            writeln!(f)?;
            for lane in &self.lanes {
                item(f, &lane_line(lane, f.alternate()))?;
            }
        }
        if !self.steps.is_empty() {
            writeln!(f, "\nNext")?;
            for step in &self.steps {
                self.step(f, step)?;
            }
        }
        let problems = self.problems();
        if !problems.is_empty() {
            writeln!(f, "\nNeeds attention")?;
            for problem in &problems {
                item(f, problem)?;
            }
        }
        Ok(())
    }
}

impl Status {
    fn heading(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys at {}", self.now.to_rfc3339())?;
        match self.revision {
            Some(revision) => writeln!(f, ", by revision {revision} of the manifest")?,
            None => writeln!(f)?,
        }
        let Some(replica) = &self.replica else {
            return Ok(());
        };
        let readiness = if replica.is_ready {
            "ready"
        } else {
            "not ready"
        };
        write!(f, "Replica {} is {readiness}", replica.name)?;
        match replica.lease_until {
            Some(until) if replica.has_lease => {
                let left = duration(between(self.now, until));
                writeln!(f, ", with a lease of another {left}")
            }
            _ => writeln!(f, ", without a lease"),
        }
    }

    fn row(&self, key: &KeyStatus, whole: bool) -> [String; 7] {
        let backend = match key.role {
            Role::Rotating => key.backend.clone(),
            Role::Standby => format!("{} (standby)", key.backend),
        };
        [
            key.algorithm.name().to_owned(),
            kid(&key.kid, whole).to_owned(),
            key.state.name().to_owned(),
            duration(between(key.since, self.now)),
            backend,
            key.is_open
                .map_or("", |open| if open { "open" } else { "-" })
                .to_owned(),
            key.next
                .as_ref()
                .map(|step| format!("{} {}", step.action.name(), self.due(step)))
                .unwrap_or_default(),
        ]
    }

    /// When a step is due. What waits for this replica's keeper is due now.
    fn due(&self, step: &Step) -> String {
        match step.action {
            Action::SetPolicy(_) => "now".to_owned(),
            _ => relative(step.due, self.now),
        }
    }

    fn step(&self, f: &mut fmt::Formatter<'_>, step: &Step) -> fmt::Result {
        let name = step.action.name();
        let what = match &step.action {
            Action::Provision {
                algorithm,
                backend,
                role,
            } => format!("{name} a {role} {algorithm} key in {backend}"),
            action => {
                let kids: Vec<&str> = action
                    .kids()
                    .iter()
                    .map(|id| kid(id, f.alternate()))
                    .collect();
                match action.is_passive() {
                    true => format!("{} {name}", kids.join(", ")),
                    false => format!("{name} {}", kids.join(", ")),
                }
            }
        };
        let due = self.due(step);
        writeln!(f, "{due:<16}{}  {}", step.due.to_rfc3339(), what.trim())?;
        let reason = if f.alternate() {
            step.reason.clone()
        } else {
            self.keys.iter().fold(step.reason.clone(), |reason, key| {
                reason.replace(&key.kid, short(&key.kid))
            })
        };
        wrapped(f, "    ", &reason)
    }
}

fn lane_line(lane: &LaneStatus, whole: bool) -> String {
    let signs = match &lane.active {
        Some(active) => format!("{} signs", kid(active, whole)),
        None => "nothing signs".to_owned(),
    };
    let switch = match lane.successors.first() {
        Some(first) => format!("in an emergency {} can take over", kid(first, whole)),
        None => "no other key can take over in an emergency".to_owned(),
    };
    format!("{}: {signs}; {switch}", lane.algorithm)
}

fn kid(kid: &str, whole: bool) -> &str {
    if whole { kid } else { short(kid) }
}

/// Writes a line for each row under a line of headings, the columns aligned, those without content
/// left out.
fn table(f: &mut fmt::Formatter<'_>, rows: &[[String; 7]]) -> fmt::Result {
    let widths: [usize; 7] = std::array::from_fn(|column| {
        let widest = rows.iter().map(|row| row[column].len()).max();
        match widest.unwrap_or(0) {
            0 => 0,
            widest => widest.max(COLUMNS[column].len()),
        }
    });
    let headings = COLUMNS.map(str::to_owned);
    for row in std::iter::once(&headings).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths).filter(|(_, width)| *width > 0) {
            line.push_str(&format!("{cell:width$}  "));
        }
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}

fn item(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    wrapped(f, "- ", text)
}

/// Writes a text after a prefix, broken between words, with its further lines below the first.
fn wrapped(f: &mut fmt::Formatter<'_>, prefix: &str, text: &str) -> fmt::Result {
    let indent = prefix.len();
    let mut line = prefix.to_owned();
    for word in text.split_whitespace() {
        if line.len() > indent && line.len() + 1 + word.len() > WIDTH {
            writeln!(f, "{}", line.trim_end())?;
            line = " ".repeat(indent);
        } else if line.len() > indent {
            line.push(' ');
        }
        // What a server said must not move the cursor.
        line.push_str(&word.replace(char::is_control, "?"));
    }
    writeln!(f, "{}", line.trim_end())
}
