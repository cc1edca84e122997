//! The core of the Python package `apyfal`: the library, as Python sees it.
//!
//! What the package does is decided here and in the library; its Python part gives it the classes
//! that programs subclass. Nothing happens at import: the runtime begins with the first call.

mod accelerator;
mod buffers;
mod call;
mod catalog;
mod configuration;
mod ends;
mod errors;
mod files;
mod hosts;
mod inside;
mod job;
mod owned;
mod runtime;
mod settled;
mod storage;
mod switch;
mod values;

use pyo3::prelude::*;

/// The core of the package `apyfal`, which is to be used instead.
// Its classes are frozen and what they hold is shared by locks, so it needs no GIL.
#[pymodule(gil_used = false)]
mod _apyfal {
    use super::{Bound, PyModule, PyModuleMethods, PyResult, wrap_pyfunction};

    #[pymodule_export]
    use super::accelerator::Accelerator;
    #[pymodule_export]
    use super::configuration::Configuration;
    #[pymodule_export]
    use super::job::Job;
    #[pymodule_export]
    use super::settled::Settled;
    #[pymodule_export]
    use super::storage::{Reader, Storage, Writer};
    #[pymodule_export]
    use super::switch::Switch;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add_function(wrap_pyfunction!(super::configuration::is_secret_key, module)?)?;
        module.add_function(wrap_pyfunction!(super::hosts::is_made, module)?)?;
        module.add_function(wrap_pyfunction!(super::hosts::made_hosts, module)?)?;
        module.add_function(wrap_pyfunction!(super::hosts::stop_mode, module)?)?;
        module.add_function(wrap_pyfunction!(super::inside::leave, module)?)?;
        module.add_function(wrap_pyfunction!(super::inside::forked, module)?)?;
        module.add("KINDS", apyfal::ErrorKind::ALL.map(apyfal::ErrorKind::as_str).to_vec())
    }
}
