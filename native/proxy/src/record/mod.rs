//! What is told of requests afterwards: figures and an access log.

pub mod clock;
pub mod figures;
pub mod labels;
pub mod line;
pub mod metrics;
pub mod refusals;
pub mod request;
pub mod writer;
