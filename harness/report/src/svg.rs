//! Pictures for a README: a badge that says how the run went, and a heat map.
//!
//! Neither asks anything of the network, and both say in words what they show: a
//! screen reader and a reader without colours lose nothing.

use std::fmt::Write as _;

use verdict::Colour;

use crate::{
    Cell, Counts, Run,
    findings::title,
    grid::{self, Grid},
    shown::one_line,
};

/// Pixels per character of the badge's font at 11 px, which no renderer measures
/// for us; Verdana's average, a little generous.
const CHARACTER: usize = 7;

/// A square of the heat map with its gap, pixels.
const SQUARE: usize = 12;

/// `matrix | 136 as expected`. Red as soon as one cell is not, yellow where
/// something is flaky or was not run: an incomplete run is never green.
pub fn badge(run: &Run) -> String {
    let counts = Counts::of(run);
    let unexpected = counts.unexpected_failures + counts.unexpected_passes;
    let (message, colour) = if unexpected > 0 {
        (
            format!("{unexpected} of {} unexpected", counts.cells),
            "#b62324",
        )
    } else if counts.flaky > 0 {
        (
            format!("{} of {} flaky", counts.flaky, counts.cells),
            "#7d5a00",
        )
    } else if counts.not_run > 0 || counts.cells == 0 || run.run.interrupted.is_some() {
        (
            format!("{} of {} not run", counts.not_run, counts.cells),
            "#7d5a00",
        )
    } else {
        (format!("{} as expected", counts.expected), "#1a7f37")
    };
    let label = "matrix";
    let left = label.chars().count() * CHARACTER + 12;
    let right = message.chars().count() * CHARACTER + 12;
    let width = left + right;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"20\" role=\"img\" \
         aria-label=\"{label}: {message}\"><title>{label}: {message}</title>\
         <clipPath id=\"r\"><rect width=\"{width}\" height=\"20\" rx=\"3\"/></clipPath>\
         <g clip-path=\"url(#r)\"><rect width=\"{left}\" height=\"20\" fill=\"#444c56\"/>\
         <rect x=\"{left}\" width=\"{right}\" height=\"20\" fill=\"{colour}\"/></g>\
         <g fill=\"#fff\" text-anchor=\"middle\" font-family=\"Verdana,DejaVu Sans,sans-serif\" \
         font-size=\"11\"><text x=\"{}\" y=\"14\">{label}</text><text x=\"{}\" y=\"14\">{message}</text>\
         </g></svg>\n",
        left / 2,
        left + right / 2,
    )
}

/// Kernels across, images down, a square for each: the worst of the image's checks
/// on that kernel. The shape tells the verdict apart without colour: a full square
/// is as expected, a ring was not run or is lacking, a diamond is not as expected,
/// a circle is flaky.
pub fn heat_map(run: &Run) -> String {
    let grid = Grid::of(run);
    let (width, height) = (
        grid.columns.len() * SQUARE + 4,
        grid.groups.len() * SQUARE + 4,
    );
    let said = escape(&format!("{}: {}", title(run), Counts::of(run).summary()));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" aria-label=\"{said}\"><title>{said}</title>\n"
    );
    for (row, group) in grid.groups.iter().enumerate() {
        for (column, heading) in grid.columns.iter().enumerate() {
            let cells = group
                .rows
                .iter()
                .map(|row| row.cells.get(column).copied().flatten());
            let Some(worst) = cells.min_by_key(|cell| grid::urgency(*cell)) else {
                continue;
            };
            let name = escape(&one_line(&format!(
                "{} × {}: {}",
                heading.kernel.id,
                group.image.id,
                grid::label(worst)
            )));
            let shape = shape(worst, column * SQUARE + 2, row * SQUARE + 2);
            // Writing to a String cannot fail.
            let _ = writeln!(svg, "<g><title>{name}</title>{shape}</g>");
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn shape(cell: Option<&Cell>, x: usize, y: usize) -> String {
    const SIDE: usize = SQUARE - 2;
    const HALF: usize = SIDE / 2;
    let colour = fill(grid::colour(cell));
    match grid::mark(cell) {
        Some('-' | '?') => format!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"{colour}\"/>",
            x + 1,
            y + 1,
            SIDE - 2,
            SIDE - 2
        ),
        Some('!') => format!(
            "<path d=\"M{} {y}l{HALF} {HALF}l-{HALF} {HALF}l-{HALF} -{HALF}z\" fill=\"{colour}\"/>",
            x + HALF
        ),
        Some('~') => format!(
            "<circle cx=\"{}\" cy=\"{}\" r=\"{HALF}\" fill=\"{colour}\"/>",
            x + HALF,
            y + HALF
        ),
        Some(_) => format!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{SIDE}\" height=\"{SIDE}\" fill=\"{colour}\" \
             fill-opacity=\".55\"/>"
        ),
        None => format!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{SIDE}\" height=\"{SIDE}\" fill=\"{colour}\"/>"
        ),
    }
}

fn fill(colour: Colour) -> &'static str {
    match colour {
        Colour::Green => "#2da44e",
        Colour::Yellow => "#bf8700",
        Colour::Red => "#cf222e",
        Colour::Magenta => "#a626a4",
        Colour::Blue => "#0969da",
        Colour::Grey => "#6e7781",
    }
}

/// For text and attributes alike.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
