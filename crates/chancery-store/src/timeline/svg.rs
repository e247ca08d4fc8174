//! The drawing itself.

use std::fmt::{self, Write as _};

use chancery_core::UnixTime;
use chancery_core::rotation::{KeyState, Role};

use super::axis::Axis;
use super::{Kind, Phase, phases};
use crate::status::words::short;
use crate::status::{KeyStatus, Status};

/// All lengths are in tenths of a pixel.
const WIDTH: u64 = 9600;
const LEFT: u64 = 2100;
const RIGHT: u64 = 360;
const PLOT: u64 = WIDTH - LEFT - RIGHT;
const TOP: u64 = 1160;
const ROW: u64 = 360;
const BAR: u64 = 160;
const LEGEND: u64 = 220;

/// The narrowest phase, which is still seen.
const NARROWEST: u64 = 20;

const STYLE: &str = "\
text { font-family: -apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif; font-size: 12px; fill: #1f2328; }
.title { font-size: 16px; font-weight: 600; }
.kid { font-family: ui-monospace, 'SFMono-Regular', 'DejaVu Sans Mono', Menlo, monospace; }
.lane { font-weight: 600; }
.note { font-size: 11px; fill: #59636e; }
.tick { font-size: 11px; fill: #59636e; stroke: #ffffff; stroke-width: 4; paint-order: stroke; }
.card { fill: #ffffff; stroke: #d1d9e0; }
.planned { fill: #818b98; fill-opacity: 0.10; }
.grid { stroke: #d1d9e0; }
.now { stroke: #1f2328; stroke-width: 1.5; }
.nowtext { font-weight: 600; }
.provisioned { fill: none; stroke: #818b98; stroke-dasharray: 3 3; stroke-width: 1.5; }
.announced { fill: #ffffff; stroke: #0969da; }
.observed { fill: #b6d7ff; stroke: #0969da; }
.active { fill: #0a4fae; stroke: #0a4fae; }
.reserve { fill: none; stroke: #0a4fae; stroke-width: 3; stroke-dasharray: 2 4; }
.draining { fill: url(#chancery-draining); stroke: #9a6700; }
.stripe { stroke: #9a6700; stroke-width: 2; }
.gone { fill: none; stroke: #59636e; stroke-width: 1.5; }
.revoked { fill: #cf222e; stroke: #ffffff; }
.cross { fill: none; stroke: #ffffff; stroke-width: 1.5; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.note { fill: #9198a1; }
.tick { fill: #9198a1; stroke: #0d1117; }
.card { fill: #0d1117; stroke: #3d444d; }
.planned { fill: #9198a1; fill-opacity: 0.14; }
.grid { stroke: #3d444d; }
.now { stroke: #e6edf3; }
.announced { fill: #0d1117; stroke: #4493f8; }
.observed { fill: #1c3f73; stroke: #4493f8; }
.active { fill: #79b8ff; stroke: #79b8ff; }
.reserve { stroke: #79b8ff; }
.draining { stroke: #d29922; }
.stripe { stroke: #d29922; }
.gone { stroke: #9198a1; }
.revoked { fill: #f85149; stroke: #0d1117; }
.cross { stroke: #0d1117; }
}
";

pub(super) fn draw(status: &Status, from: UnixTime, until: UnixTime) -> String {
    let rows: Vec<(&KeyStatus, Vec<Phase>)> = status
        .keys
        .iter()
        .map(|key| (key, phases(key, status.now, until)))
        .filter(|(_, phases)| {
            let began = phases.iter().any(|phase| phase.from <= until);
            began && phases.iter().any(|phase| from < phase.until)
        })
        .collect();
    let height = TOP + ROW * rows.len() as u64 + 200 + 3 * LEGEND;
    let mut drawing = Drawing {
        svg: String::new(),
        axis: Axis {
            from,
            until,
            left: LEFT,
            width: PLOT,
        },
        now: status.now,
    };
    // Writing to a string does not fail.
    let _ = drawing.all(status, &rows, height);
    drawing.svg
}

struct Drawing {
    svg: String,
    axis: Axis,
    now: UnixTime,
}

impl Drawing {
    fn all(
        &mut self,
        status: &Status,
        rows: &[(&KeyStatus, Vec<Phase>)],
        height: u64,
    ) -> fmt::Result {
        let (width, tall) = (Px(WIDTH), Px(height));
        let bottom = TOP + ROW * rows.len() as u64;
        write!(
            self.svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {tall}\" \
             width=\"{width}\" height=\"{tall}\" role=\"img\" \
             aria-labelledby=\"chancery-title chancery-note\">\n<style>\n{STYLE}</style>\n\
             <defs><pattern id=\"chancery-draining\" width=\"6\" height=\"6\" \
             patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
             <line class=\"stripe\" x1=\"0\" y1=\"0\" x2=\"0\" y2=\"6\"/></pattern></defs>\n\
             <rect class=\"card\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n",
            Px(WIDTH - 10),
            Px(height - 10),
        )?;
        self.text(
            240,
            330,
            r#"class="title" id="chancery-title""#,
            "Signing keys over time",
        )?;
        let note = match status.revision {
            Some(revision) => format!(
                "{} to {}, by revision {revision} of the manifest",
                self.axis.from.to_rfc3339(),
                self.axis.until.to_rfc3339()
            ),
            None => "No manifest has been read yet".to_owned(),
        };
        self.text(240, 520, r#"class="note" id="chancery-note""#, &note)?;
        self.grid(bottom)?;
        for (place, (key, phases)) in rows.iter().enumerate() {
            let is_first = place == 0 || rows[place - 1].0.algorithm != key.algorithm;
            self.row(TOP + ROW * place as u64, key, phases, is_first)?;
        }
        self.now_line(bottom)?;
        self.legend(bottom + 300)?;
        self.svg.push_str("</svg>\n");
        Ok(())
    }

    /// The marked moments, and the shade over what is only planned.
    fn grid(&mut self, bottom: u64) -> fmt::Result {
        let now = self.axis.x(self.now);
        if self.now < self.axis.until {
            writeln!(
                self.svg,
                "<rect class=\"planned\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
                Px(now),
                Px(TOP),
                Px(LEFT + PLOT - now),
                Px(bottom - TOP)
            )?;
        }
        self.now_label()?;
        for mark in self.axis.marks() {
            let x = self.axis.x(mark.at);
            self.line("grid", (x, TOP), (x, bottom))?;
            self.text(
                x,
                TOP - 220,
                r#"class="tick" text-anchor="middle""#,
                &mark.fine,
            )?;
            if let Some(coarse) = &mark.coarse {
                self.text(x, TOP - 80, r#"class="tick" text-anchor="middle""#, coarse)?;
            }
        }
        Ok(())
    }

    fn row(&mut self, y: u64, key: &KeyStatus, phases: &[Phase], is_first: bool) -> fmt::Result {
        if is_first {
            self.line("grid", (240, y), (LEFT + PLOT, y))?;
            self.text(240, y + 220, r#"class="lane""#, key.algorithm.name())?;
        }
        writeln!(self.svg, "<g>")?;
        self.tooltip(&about(key))?;
        self.text(880, y + 160, r#"class="kid""#, short(&key.kid))?;
        let role = match key.role {
            Role::Rotating => String::new(),
            Role::Standby => ", standby".to_owned(),
        };
        let place = format!("{}{role}", shortened(&key.backend));
        self.text(880, y + 290, r#"class="note""#, &place)?;
        writeln!(self.svg, "</g>")?;
        for phase in phases {
            self.phase(y, *phase)?;
        }
        self.ends(y, key)
    }

    fn phase(&mut self, y: u64, phase: Phase) -> fmt::Result {
        let Axis { from, until, .. } = self.axis;
        if phase.until <= from || until < phase.from {
            return Ok(());
        }
        let x = self.axis.x(phase.from);
        let width = (self.axis.x(phase.until) - x).max(NARROWEST);
        writeln!(self.svg, "<g>")?;
        self.tooltip(&format!(
            "{}: {} to {}",
            phase.kind.meaning(),
            phase.from.to_rfc3339(),
            phase.until.to_rfc3339()
        ))?;
        self.swatch(phase.kind, x, y + (ROW - BAR) / 2, width)?;
        writeln!(self.svg, "</g>")
    }

    /// A piece of a bar.
    fn swatch(&mut self, kind: Kind, x: u64, y: u64, width: u64) -> fmt::Result {
        let class = kind.name();
        match kind {
            Kind::State(KeyState::Provisioned) | Kind::Reserve => {
                self.line(class, (x, y + BAR / 2), (x + width, y + BAR / 2))
            }
            Kind::State(_) => writeln!(
                self.svg,
                "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
                Px(x),
                Px(y),
                Px(width),
                Px(BAR)
            ),
        }
    }

    /// When the private half goes, and when the key was revoked.
    fn ends(&mut self, y: u64, key: &KeyStatus) -> fmt::Result {
        let middle = y + ROW / 2;
        let moments = &key.moments;
        let Axis { from, until, .. } = self.axis;
        let is_drawn = |moment: &UnixTime| from <= *moment && *moment <= until;
        if let Some(gone) = moments.destroyed_at.or(moments.destroy).filter(is_drawn) {
            writeln!(self.svg, "<g>")?;
            self.tooltip(&match moments.destroyed_at {
                Some(at) => format!("private half destroyed {}", at.to_rfc3339()),
                None => format!("private half to be destroyed {}", gone.to_rfc3339()),
            })?;
            self.gone(self.axis.x(gone), middle)?;
            writeln!(self.svg, "</g>")?;
        }
        if let Some(revoked) = moments.revoked_at.filter(is_drawn) {
            let by = key.history.iter().find(|entry| entry.what() == "revoke");
            let by = by.map_or("", |entry| entry.by());
            writeln!(self.svg, "<g>")?;
            self.tooltip(&format!("revoked {} by {by}", revoked.to_rfc3339()))?;
            self.revoked(self.axis.x(revoked), middle)?;
            writeln!(self.svg, "</g>")?;
        }
        Ok(())
    }

    fn gone(&mut self, x: u64, y: u64) -> fmt::Result {
        writeln!(
            self.svg,
            "<path class=\"gone\" d=\"M{} {}v22\"/>",
            Px(x),
            Px(y - 110)
        )
    }

    fn revoked(&mut self, x: u64, y: u64) -> fmt::Result {
        writeln!(
            self.svg,
            "<circle class=\"revoked\" cx=\"{0}\" cy=\"{1}\" r=\"8\"/>\
             <path class=\"cross\" d=\"M{0} {1}m-3 -3l6 6m0 -6l-6 6\"/>",
            Px(x),
            Px(y)
        )
    }

    /// The line for now above the bars, and what it is.
    fn now_label(&mut self) -> fmt::Result {
        let Some(x) = self.x_of_now() else {
            return Ok(());
        };
        self.line("now", (x, TOP - 440), (x, TOP))?;
        let label = format!("now, {}", self.now.to_rfc3339());
        // To the side that has room.
        if x < LEFT + PLOT / 2 {
            self.text(x + 60, TOP - 370, r#"class="nowtext""#, &label)
        } else {
            let attributes = r#"class="nowtext" text-anchor="end""#;
            self.text(x - 60, TOP - 370, attributes, &label)
        }
    }

    fn now_line(&mut self, bottom: u64) -> fmt::Result {
        match self.x_of_now() {
            Some(x) => self.line("now", (x, TOP), (x, bottom)),
            None => Ok(()),
        }
    }

    /// None where now is outside of what is drawn.
    fn x_of_now(&self) -> Option<u64> {
        let Axis { from, until, .. } = self.axis;
        (from <= self.now && self.now <= until).then(|| self.axis.x(self.now))
    }

    fn legend(&mut self, top: u64) -> fmt::Result {
        let columns = [240, 2900, 5560];
        let place = |index: usize| (columns[index % 3], top + LEGEND * (index / 3) as u64);
        let text = 420;
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            let (x, y) = place(index);
            self.swatch(kind, x, y - BAR + 30, 320)?;
            self.text(x + text, y, r#"class="note""#, kind.meaning())?;
        }
        let (x, y) = place(6);
        self.gone(x + 160, y - 50)?;
        self.text(
            x + text,
            y,
            r#"class="note""#,
            "its private half is destroyed",
        )?;
        let (x, y) = place(7);
        self.revoked(x + 160, y - 50)?;
        self.text(x + text, y, r#"class="note""#, "revoked")?;
        let (x, y) = place(8);
        writeln!(
            self.svg,
            "<rect class=\"planned\" x=\"{}\" y=\"{}\" width=\"32\" height=\"16\"/>",
            Px(x),
            Px(y - BAR + 30)
        )?;
        self.text(x + text, y, r#"class="note""#, "planned")
    }

    fn line(&mut self, class: &str, from: (u64, u64), to: (u64, u64)) -> fmt::Result {
        writeln!(
            self.svg,
            "<line class=\"{class}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>",
            Px(from.0),
            Px(from.1),
            Px(to.0),
            Px(to.1)
        )
    }

    fn text(&mut self, x: u64, y: u64, attributes: &str, text: &str) -> fmt::Result {
        writeln!(
            self.svg,
            "<text {attributes} x=\"{}\" y=\"{}\">{}</text>",
            Px(x),
            Px(y),
            Escaped(text)
        )
    }

    fn tooltip(&mut self, text: &str) -> fmt::Result {
        writeln!(self.svg, "<title>{}</title>", Escaped(text))
    }
}

/// What is known of a key, a line for each thing that was done with it.
fn about(key: &KeyStatus) -> String {
    let mut about = format!("{}: {}", key.kid, key.state);
    for entry in &key.history {
        about.push_str(&format!(
            "\n{} {} by {}",
            entry.at().to_rfc3339(),
            entry.what(),
            entry.by()
        ));
    }
    about
}

/// A name of a backend that fits beside the bars.
fn shortened(name: &str) -> String {
    match name.char_indices().nth(13) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// Tenths of a pixel, shown as pixels.
#[derive(Clone, Copy)]
struct Px(u64);

impl fmt::Display for Px {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 10 {
            0 => write!(f, "{}", self.0 / 10),
            tenth => write!(f, "{}.{tenth}", self.0 / 10),
        }
    }
}

/// Text between the tags of XML.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&apos;")?,
                character => f.write_char(character)?,
            }
        }
        Ok(())
    }
}
