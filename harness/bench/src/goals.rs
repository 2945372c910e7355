//! What was aimed at, and what came of it.

use serde::Serialize;

use crate::floor::Floor;
use crate::rounds::{
    COLD_MATRIX, EACH_CELL, Of, RESTORE, Report, SCRIPT, WARM_CELLS, WARM_KERNELS, WARM_MATRIX,
};

/// One aim.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Goal {
    pub(crate) what: String,
    /// No more than this, or no less where `at_least`.
    pub(crate) aim: f64,
    pub(crate) at_least: bool,
    /// None: not measured.
    pub(crate) found: Option<f64>,
    /// `s`, `×`, `MB`.
    pub(crate) unit: &'static str,
}

impl Goal {
    /// None: not measured.
    pub(crate) fn met(&self) -> Option<bool> {
        self.found.map(|found| match self.at_least {
            true => found >= self.aim,
            false => found <= self.aim,
        })
    }
}

/// Every aim beside what was measured.
pub(crate) fn held_against(report: &Report) -> Vec<Goal> {
    let mut goals = Vec::new();
    let mut most = |what: String, aim: f64, found: Option<f64>, unit: &'static str| {
        goals.push(Goal {
            what,
            aim,
            at_least: false,
            found,
            unit,
        });
    };
    let ratio = |part: Option<f64>, whole: Option<f64>| Some(part? / whole?);
    for kernel in &report.kernels {
        let of = Of(kernel);
        let best = best_floor(report, kernel);
        most(
            format!("{kernel}: cold ready / best floor"),
            1.2,
            ratio(report.median(&of.ready("cold")), best),
            "×",
        );
        most(
            format!("{kernel}: cold one cell / best floor"),
            1.5,
            ratio(report.median(&of.cell("cold")), best),
            "×",
        );
        most(
            format!("{kernel}: warm ready"),
            0.08,
            report.median(&of.ready("warm")),
            "s",
        );
        most(
            format!("{kernel}: warm one cell"),
            0.30,
            report.median(&of.cell("warm")),
            "s",
        );
        most(
            format!("{kernel}: program's start to the first machine, warm"),
            0.030,
            report.median(&of.first_machine("warm")),
            "s",
        );
    }
    most(
        format!("{} cells, warm", report.cells),
        10.0,
        report.median(WARM_MATRIX),
        "s",
    );
    most(
        format!("{} cells, warm, --isolate kernel", report.cells),
        10.0,
        report.median(WARM_KERNELS),
        "s",
    );
    if let Some(scale) = &report.scale {
        most(
            format!("{} cells without machines", scale.cells),
            2.0,
            Some(scale.whole),
            "s",
        );
        most(
            format!("{} cells without machines, memory", scale.cells),
            200.0,
            Some(scale.memory as f64 / 1e6),
            "MB",
        );
    }
    let mut least = |what: String, aim: f64, found: Option<f64>, unit: &'static str| {
        goals.push(Goal {
            what,
            aim,
            at_least: true,
            found,
            unit,
        });
    };
    least(
        "script of QEMU and busybox / the same cells warm".to_owned(),
        10.0,
        ratio(report.median(SCRIPT), report.median(WARM_MATRIX)),
        "×",
    );
    least(
        "machines restored a second, two side by side".to_owned(),
        12.0,
        report.median(RESTORE).map(|took| 2.0 / took),
        "/s",
    );
    least(
        "machines restored, and a cell in each, a second".to_owned(),
        12.0,
        report.median(WARM_CELLS).map(|took| EACH_CELL / took),
        "/s",
    );
    least(
        "cold matrix / warm matrix".to_owned(),
        1.0,
        ratio(report.median(COLD_MATRIX), report.median(WARM_MATRIX)),
        "×",
    );
    goals
}

/// The least of what is known of this kernel.
pub(crate) fn best_floor(report: &Report, kernel: &str) -> Option<f64> {
    Floor::ALL
        .into_iter()
        .filter_map(|floor| report.median(&Of(kernel).floor(floor)))
        .min_by(f64::total_cmp)
}
