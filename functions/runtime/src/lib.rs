//! What the Lambda functions share: the registry's handlers behind the HTTP
//! events of load balancers, API Gateway and function URLs.
//!
//! | step | where |
//! |---|---|
//! | the environment becomes a configuration | [`settings`] |
//! | an event becomes a request | [`event`] |
//! | a request that is another function's is refused | [`scope`] |
//! | the answer becomes what the sender of the event expects | [`answer`] |
//!
//! Invariant: nothing here decides what a request means; that is
//! `ironwharf_registry`'s.
//! Invariant: no request makes a function fail: whatever it holds, there is an
//! answer. A failed invocation would be a 502 of the gateway's own making.
//! Invariant: nothing runs after the answer; the function is frozen then.

pub mod answer;
pub mod event;
pub mod function;
pub mod scope;
pub mod settings;

pub use function::Function;
pub use scope::Scope;
