//! The chart that the README shows: what each library adds to the raw signature of its engine.

use std::fmt::{self, Write as _};

use crate::candidate::{Algorithm, Role};
use crate::claims::Payload;
use crate::comparison::Figures;

const WIDTH: f64 = 820.0;
const MARGIN: f64 = 24.0;
/// Where the bars begin and how long the longest may be.
const BARS: f64 = 250.0;
const LONGEST: f64 = 400.0;
/// Overheads above this are cut, in nanoseconds: the libraries that prepare a key anew in slow
/// arithmetic would leave the others no length to differ in.
const CUT: f64 = 20_000.0;
const ROW: f64 = 26.0;
const BAR: f64 = 16.0;
const HEAD: f64 = 76.0;
const SECTION: f64 = 40.0;
const FOOT: f64 = 56.0;

/// The card has a ground of its own, so that it reads in any surrounding; which of the two it
/// wears is the reader's colour scheme.
const STYLE: &str = "\
<style>
  text { font-family: -apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif; font-size: 13px; fill: #1f2328; }
  .title { font-size: 17px; font-weight: 600; }
  .section { font-weight: 600; }
  .note { font-size: 12px; fill: #59636e; }
  .ours { font-weight: 600; }
  .card { fill: #ffffff; stroke: #d1d9e0; }
  .axis { stroke: #d1d9e0; }
  .bar { fill: #afb8c1; }
  .bar.ours { fill: #0969da; }
  .tear { stroke: #ffffff; stroke-width: 3; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .note { fill: #9198a1; }
    .card { fill: #0d1117; stroke: #3d444d; }
    .axis { stroke: #3d444d; }
    .bar { fill: #656c76; }
    .bar.ours { fill: #4493f8; }
    .tear { stroke: #0d1117; }
  }
</style>
";

/// Draws ES256 and EdDSA with the larger payload, as an SVG file.
pub(crate) fn draw(figures: &[Figures], rounds: usize) -> Result<String, fmt::Error> {
    let sections: Vec<(Algorithm, Vec<&Figures>)> = [Algorithm::Es256, Algorithm::EdDsa]
        .into_iter()
        .map(|algorithm| (algorithm, rows(figures, algorithm)))
        .collect();
    let height = HEAD
        + sections
            .iter()
            .map(|(_, rows)| SECTION + ROW * length(rows))
            .sum::<f64>()
        + FOOT;
    let title = "Time added to the raw signature, per token";
    let mut svg = String::new();
    writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" aria-labelledby=\"title note\">"
    )?;
    svg.push_str(STYLE);
    writeln!(
        svg,
        "<rect class=\"card\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>",
        WIDTH - 1.0,
        height - 1.0
    )?;
    writeln!(
        svg,
        "<text id=\"title\" class=\"title\" x=\"{MARGIN}\" y=\"36\">{title}</text>"
    )?;
    writeln!(
        svg,
        "<text class=\"note\" x=\"{MARGIN}\" y=\"58\">Less is better. In brackets the engine that signs, and behind the bar the time in proportion to its signature.</text>"
    )?;
    let mut top = HEAD;
    for (algorithm, rows) in &sections {
        top = draw_section(&mut svg, *algorithm, rows, top)?;
    }
    writeln!(
        svg,
        "<text id=\"note\" class=\"note\" x=\"{MARGIN}\" y=\"{}\">Claims of {} bytes, a workload identity token with AWS session tags; fresh times and 128-bit jti in each token.</text>",
        height - 34.0,
        Payload::SessionTags.len()
    )?;
    writeln!(
        svg,
        "<text class=\"note\" x=\"{MARGIN}\" y=\"{}\">Medians over {rounds} interleaved rounds of each one's fastest token, on one {} core. Torn bars are longer than drawn.</text>",
        height - 16.0,
        std::env::consts::ARCH
    )?;
    svg.push_str("</svg>\n");
    Ok(svg)
}

/// The libraries of one section, the least overhead first.
fn rows(figures: &[Figures], algorithm: Algorithm) -> Vec<&Figures> {
    figures
        .iter()
        .filter(|row| row.algorithm == algorithm && row.payload == Payload::SessionTags)
        .filter(|row| row.role != Role::Aside)
        .collect()
}

fn draw_section(
    svg: &mut String,
    algorithm: Algorithm,
    rows: &[&Figures],
    top: f64,
) -> Result<f64, fmt::Error> {
    let first = top + SECTION - ROW / 2.0;
    let bottom = top + SECTION + ROW * length(rows) - ROW / 2.0;
    writeln!(
        svg,
        "<text class=\"section\" x=\"{MARGIN}\" y=\"{}\">{algorithm}</text>",
        top + 18.0
    )?;
    writeln!(
        svg,
        "<line class=\"axis\" x1=\"{BARS}\" y1=\"{first}\" x2=\"{BARS}\" y2=\"{bottom}\"/>"
    )?;
    let mut middle = top + SECTION;
    for row in rows {
        draw_row(svg, row, middle)?;
        middle += ROW;
    }
    Ok(top + SECTION + ROW * length(rows))
}

fn draw_row(svg: &mut String, row: &Figures, middle: f64) -> fmt::Result {
    let class = if row.role == Role::Chancery {
        " ours"
    } else {
        ""
    };
    let bar = row.overhead.clamp(0.0, CUT) / CUT * LONGEST;
    let baseline = middle + 4.5;
    writeln!(
        svg,
        "<text class=\"name{class}\" x=\"{}\" y=\"{baseline}\" text-anchor=\"end\">{}</text>",
        BARS - 10.0,
        row.name
    )?;
    writeln!(
        svg,
        "<rect class=\"bar{class}\" x=\"{BARS}\" y=\"{}\" width=\"{bar:.1}\" height=\"{BAR}\"/>",
        middle - BAR / 2.0
    )?;
    if row.overhead > CUT {
        let tear = BARS + bar - 24.0;
        writeln!(
            svg,
            "<line class=\"tear\" x1=\"{tear}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>",
            middle + BAR / 2.0 + 2.0,
            tear + 8.0,
            middle - BAR / 2.0 - 2.0
        )?;
    }
    writeln!(
        svg,
        "<text class=\"value{class}\" x=\"{:.1}\" y=\"{baseline}\">{}  (+{:.0}%)</text>",
        BARS + bar + 8.0,
        microseconds(row.overhead),
        (row.ratio - 1.0) * 100.0
    )
}

fn microseconds(nanoseconds: f64) -> String {
    let time = nanoseconds / 1000.0;
    if time < 10.0 {
        format!("{time:.2} µs")
    } else {
        format!("{time:.0} µs")
    }
}

#[allow(clippy::cast_precision_loss)]
const fn length(rows: &[&Figures]) -> f64 {
    rows.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(name: &'static str, role: Role, overhead: f64) -> Figures {
        Figures {
            algorithm: Algorithm::Es256,
            payload: Payload::SessionTags,
            name,
            role,
            ratio: 1.5,
            overhead,
            allocations: 0,
        }
    }

    #[test]
    fn bars_are_in_proportion_and_long_ones_torn() {
        let rows = [
            figures("near", Role::Chancery, CUT / 4.0),
            figures("far", Role::Peer, CUT * 9.0),
            figures("aside", Role::Aside, 1.0),
        ];
        let svg = draw(&rows, 9).unwrap();
        assert!(
            svg.contains(r#"class="bar ours" x="250" y="108" width="100.0""#),
            "{svg}"
        );
        assert!(
            svg.contains(r#"class="bar" x="250" y="134" width="400.0""#),
            "{svg}"
        );
        assert_eq!(svg.matches(r#"class="tear""#).count(), 1);
        assert!(svg.contains("5.00 µs  (+50%)") && svg.contains("180 µs"));
        assert!(!svg.contains("aside"));
    }
}
