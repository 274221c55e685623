//! Any request line gets an answer, and a name that comes out has only whole,
//! plain components.
#![no_main]

use http::Method;
use ironwharf_wire::route::{Route, RouteError, SHOWN_NAME};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &str| {
    // "METHOD path", as on the wire.
    let (method, path) = line.split_once(' ').unwrap_or(("GET", line));
    let Ok(method) = method.parse::<Method>() else { return };
    match Route::parse(&method, path) {
        Ok(route) => {
            for component in route.name().into_iter().flat_map(|name| name.split('/')) {
                assert!(!matches!(component, "" | "." | "..") && !component.contains('%'), "{route:?}");
            }
            if let Some(name) = route.name() {
                assert!(path.starts_with("/v2/") && path[4..].starts_with(name), "{route:?}");
            }
            if matches!(method, Method::GET | Method::HEAD) {
                assert!(!route.is_write(), "{route:?}");
            }
        }
        Err(RouteError::NameInvalid { name, .. }) => assert!(name.chars().count() <= SHOWN_NAME),
        Err(RouteError::MethodNotAllowed { allow }) => {
            // What is offered instead must work.
            assert!(!allow.split(", ").any(|other| other == method.as_str()));
            for other in allow.split(", ") {
                assert!(Route::parse(&other.parse().unwrap(), path).is_ok(), "{other} {path}");
            }
        }
        Err(RouteError::NotFound) => {}
    }
});
