//! How a step answers the chain that it is in.

/// What a step says to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// Nothing: the next step is asked.
    Pass,
    /// The reply is written, with this response code.
    Done(u16),
    /// The reply ends with an alias of a name that lies at this offset, and is to be looked up by the whole chain.
    Elsewhere { offset: usize },
    /// The forward step with this index into the chain is to be asked.
    Upstream(usize),
    /// No answer at all.
    Drop,
}
