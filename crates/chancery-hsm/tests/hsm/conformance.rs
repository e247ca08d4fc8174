//! The kit that every signer must pass.

use chancery_conformance::check;
use chancery_core::Algorithm;
use chancery_software::Engine;

use crate::device::Scripted;
use crate::device::calls::workers;

#[test]
fn passes_with_each_algorithm_of_each_engine() {
    for engine in Engine::ALL {
        let algorithms = Algorithm::all().filter(|&algorithm| engine.supports(algorithm));
        assert!(algorithms.clone().count() >= 10, "{engine:?}");
        for algorithm in algorithms {
            let device = Scripted::with_algorithm(algorithm, *engine);
            for number in [1, 8] {
                let report = check(&device.signer(workers(number))).unwrap();
                assert_eq!(report.passed().len(), 12, "{report}");
            }
        }
    }
}
