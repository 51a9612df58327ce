//! Which function of a plugin is called at the moment, for those who wait for it.

use parking_lot::Mutex;

/// The call into a plugin that is under way.
#[derive(Debug, Default)]
pub(crate) struct CurrentCall {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// A job that may call the plugin is under way.
    busy: bool,
    function: Option<&'static str>,
    given_up: bool,
}

impl CurrentCall {
    /// Makes `call`, which messages name `function`.
    pub(crate) fn during<T>(&self, function: &'static str, call: impl FnOnce() -> T) -> T {
        self.state.lock().function = Some(function);
        let result = call();
        self.state.lock().function = None;
        result
    }

    /// Does a job that may call the plugin.
    pub(crate) fn busy<T>(&self, work: impl FnOnce() -> T) -> T {
        self.state.lock().busy = true;
        let result = work();
        *self.state.lock() = State::default();
        result
    }

    /// A wait was in vain: until the job under way returns, no other request should wait.
    pub(crate) fn give_up(&self) {
        let mut state = self.state.lock();
        state.given_up = state.busy;
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.state.lock().given_up
    }

    /// The function that is being called.
    pub(crate) fn function(&self) -> &'static str {
        self.state.lock().function.unwrap_or("an earlier request")
    }
}
