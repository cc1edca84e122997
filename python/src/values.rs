//! Parameters and reports: JSON here, dictionaries there.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde_json::{Map, Number, Value};

/// How deep dictionaries and lists may be in each other: a value that holds itself is deeper.
const DEPTH: usize = 100;

/// A value as JSON. `name` is what errors call it.
pub(crate) fn to_json(value: &Bound<'_, PyAny>, name: &str) -> PyResult<Value> {
    convert(value, name, DEPTH)
}

/// The items of a dictionary as JSON, each called by its key. They are those that it has now: a value's own
/// code, and other threads, may change it meanwhile.
pub(crate) fn to_map(values: &Bound<'_, PyDict>) -> PyResult<Map<String, Value>> {
    let mut map = Map::new();
    for item in values.items() {
        let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
        let key = text(&key, "the name of a parameter")?;
        let value = to_json(&value, &key)?;
        map.insert(key, value);
    }
    Ok(map)
}

fn convert(value: &Bound<'_, PyAny>, name: &str, depth: usize) -> PyResult<Value> {
    let Some(depth) = depth.checked_sub(1) else {
        let message = format!("'{name}' is nested more than {DEPTH} deep, or holds itself");
        return Err(PyValueError::new_err(message));
    };
    if value.is_none() {
        return Ok(Value::Null);
    }
    if value.is_instance_of::<PyString>() {
        return text(value, &format!("'{name}'")).map(Value::String);
    }
    if value.is_instance_of::<PyFloat>() {
        let number: f64 = value.extract()?;
        return Number::from_f64(number).map(Value::Number).ok_or_else(|| {
            PyValueError::new_err(format!("'{name}' cannot be {number}: it must be finite"))
        });
    }
    if value.is_instance_of::<PyBool>() {
        return value.extract().map(Value::Bool);
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        let mut map = Map::new();
        for item in dict.items() {
            let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
            let key = text(&key, &format!("a key of '{name}'"))?;
            map.insert(key, convert(&value, name, depth)?);
        }
        return Ok(Value::Object(map));
    }
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        let items = value.try_iter()?.map(|item| convert(&item?, name, depth));
        return Ok(Value::Array(items.collect::<PyResult<_>>()?));
    }
    number(value, name)
}

/// Whole numbers and truth values, those of NumPy too.
fn number(value: &Bound<'_, PyAny>, name: &str) -> PyResult<Value> {
    if value.is_instance_of::<PyInt>() || value.hasattr("__index__")? {
        return match (value.extract::<i64>(), value.extract::<u64>()) {
            (Ok(number), _) => Ok(number.into()),
            (_, Ok(number)) => Ok(number.into()),
            _ => Err(PyValueError::new_err(format!("'{name}' is a number of more than 64 bits"))),
        };
    }
    if let Ok(truth) = value.extract::<bool>() {
        return Ok(Value::Bool(truth));
    }
    let kind = value.get_type();
    Err(PyTypeError::new_err(format!(
        "'{name}' cannot be of type '{}'",
        kind.fully_qualified_name()?
    )))
}

/// A text, which must be one that can be encoded. `what` is how errors begin.
pub(crate) fn text(value: &Bound<'_, PyAny>, what: &str) -> PyResult<String> {
    let Ok(string) = value.cast::<PyString>() else {
        let kind = value.get_type();
        let kind = kind.fully_qualified_name()?;
        return Err(PyTypeError::new_err(format!("{what} must be a str, not '{kind}'")));
    };
    string.to_str().map(str::to_owned).map_err(|_| {
        PyValueError::new_err(format!("{what} has characters that cannot be encoded (surrogates)"))
    })
}

/// JSON as a value.
pub(crate) fn from_json<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(value) => PyBool::new(py, *value).to_owned().into_any(),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => number.into_pyobject(py)?.into_any(),
            (_, Some(number), _) => number.into_pyobject(py)?.into_any(),
            (_, _, number) => number.unwrap_or(f64::NAN).into_pyobject(py)?.into_any(),
        },
        Value::String(text) => PyString::new(py, text).into_any(),
        Value::Array(items) => {
            let items = items.iter().map(|item| from_json(py, item));
            PyList::new(py, items.collect::<PyResult<Vec<_>>>()?)?.into_any()
        }
        Value::Object(map) => from_map(py, map)?.into_any(),
    })
}

/// A JSON object as a dictionary.
pub(crate) fn from_map<'py>(
    py: Python<'py>,
    map: &Map<String, Value>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (key, value) in map {
        dict.set_item(key, from_json(py, value)?)?;
    }
    Ok(dict)
}
