//! The macro that makes a library a plugin.

/// Exports a policy under the symbol that `ops_name` of a configuration file names: `export!(SYMBOL: TYPE);`, where TYPE
/// implements [`Policy`](crate::Policy). One library may export several. The library has to be a `cdylib`.
#[macro_export]
macro_rules! export {
    ($symbol:ident: $policy:ty) => {
        #[doc = "The functions that etmemd calls."]
        #[unsafe(no_mangle)]
        pub static $symbol: $crate::EngineOps = $crate::operations::<$policy>();
    };
}
