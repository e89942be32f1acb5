//! The service traits: what a host program can replace. Defaults live in crates of their own.

mod analyzer;
mod call_context;
mod capability;
mod classifier;
mod context_store;
mod executor;
mod notifier;
mod workflow_engine;

pub use analyzer::{AnalysisRequest, Analyzer, ChatReply, ChatRequest};
pub use call_context::{Actor, CallContext};
pub use capability::Capability;
pub use classifier::{Classifier, ClassifyRequest};
pub use context_store::{ContextStore, HistoryPage, Likeness, MemoryStatus, OutcomeUpdate, RecallQuery, Recalled, ScorePart};
pub use executor::{ExecuteRequest, Executor, UndoRequest};
pub use notifier::{Delivery, Notifier};
pub use workflow_engine::{RunFilter, Signal, StartRequest, WorkflowEngine};

/// Implements a service trait for `Arc<T>` and `Box<T>` by delegation.
macro_rules! delegate {
    ($trait:ident { $($(#[$attr:meta])* async fn $name:ident(&self $(, $arg:ident: $ty:ty)*) -> $ret:ty;)* } sync { $(fn $sname:ident(&self) -> $sret:ty;)* }) => {
        delegate!(@one std::sync::Arc<T>, $trait { $($(#[$attr])* async fn $name(&self $(, $arg: $ty)*) -> $ret;)* } sync { $(fn $sname(&self) -> $sret;)* });
        delegate!(@one Box<T>, $trait { $($(#[$attr])* async fn $name(&self $(, $arg: $ty)*) -> $ret;)* } sync { $(fn $sname(&self) -> $sret;)* });
    };
    (@one $outer:ty, $trait:ident { $($(#[$attr:meta])* async fn $name:ident(&self $(, $arg:ident: $ty:ty)*) -> $ret:ty;)* } sync { $(fn $sname:ident(&self) -> $sret:ty;)* }) => {
        #[async_trait::async_trait]
        impl<T: $trait + ?Sized> $trait for $outer {
            $(async fn $name(&self $(, $arg: $ty)*) -> $ret { (**self).$name($($arg),*).await })*
            $(fn $sname(&self) -> $sret { (**self).$sname() })*
        }
    };
}
pub(crate) use delegate;
