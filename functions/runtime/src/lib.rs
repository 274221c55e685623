//! What the Lambda functions and the streaming ingress share: the registry's
//! handlers behind the HTTP events of load balancers, API Gateway and function
//! URLs, and behind HTTP itself; and what is done when nobody asks.
//!
//! | step | where |
//! |---|---|
//! | the environment becomes a configuration | [`settings`] |
//! | an event becomes a request | [`event`] |
//! | a request that is another function's is refused | [`scope`] |
//! | what has the bytes of a layer comes over HTTP instead | [`ingress`] |
//! | the answer becomes what the sender of the event expects | [`answer`] |
//! | a schedule and a log say what else is to be done | [`jobs`] |
//! | the stream of the table says what others are to be told | [`events`] |
//!
//! Invariant: nothing here decides what a request means; that is
//! `ironwharf_registry`'s.
//! Invariant: no request makes a function fail: whatever it holds, there is an
//! answer. A failed invocation would be a 502 of the gateway's own making.
//! Invariant: nothing runs after the answer; the function is frozen then.

pub mod answer;
pub mod event;
pub mod events;
pub mod function;
pub mod ingress;
pub mod jobs;
pub mod scope;
pub mod settings;
mod start;

pub use events::Events;
pub use function::Function;
pub use jobs::Jobs;
pub use scope::Scope;
