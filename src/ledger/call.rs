//! Unit, app and scope set of a row as one number.

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array, UInt64Array};
use arrow::datatypes::DataType;
use serde::{Deserialize, Serialize};

/// How many bits of a row's `call` its parts take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallBits {
    pub unit: u32,
    pub app: u32,
    pub scopes: u32,
}

impl CallBits {
    /// For so many units, apps and scope sets; `None` where no number of 64 bits holds them.
    pub fn of(units: usize, apps: usize, scope_sets: usize) -> Option<Self> {
        // Of apps and sets one number more stands for none.
        let bits = |greatest: usize| usize::BITS - greatest.leading_zeros();
        let unit = bits(units.saturating_sub(1));
        let call = Self { unit, app: bits(apps), scopes: bits(scope_sets) };
        (call.all() <= u64::BITS).then_some(call)
    }

    fn all(self) -> u32 {
        self.unit + self.app + self.scopes
    }

    /// Whether calls are numbers of 32 bits.
    fn is_short(self) -> bool {
        self.all() <= u32::BITS
    }

    /// The type of the column.
    pub fn data_type(self) -> DataType {
        if self.is_short() { DataType::UInt32 } else { DataType::UInt64 }
    }

    /// Unit, app and scope set as one number.
    #[inline]
    pub fn call(self, unit: u32, app: u32, scopes: u32) -> u64 {
        // What there is none of becomes 0.
        let [app, scopes] = [app, scopes].map(|code| u64::from(code.wrapping_add(1)));
        let above = u64::from(unit).checked_shl(self.app + self.scopes).unwrap_or(0);
        above | app.checked_shl(self.scopes).unwrap_or(0) | scopes
    }

    /// Codes of unit, app and scope set.
    #[inline]
    pub fn parts(self, call: u64) -> (u32, u32, u32) {
        let low = |call: u64, bits: u32| (call & !u64::MAX.checked_shl(bits).unwrap_or(0)) as u32;
        let above = call.checked_shr(self.scopes).unwrap_or(0);
        let unit = above.checked_shr(self.app).unwrap_or(0);
        let code = |code: u32| code.wrapping_sub(1);
        (unit as u32, code(low(above, self.app)), code(low(call, self.scopes)))
    }

    /// The column of these calls.
    pub fn column(self, calls: impl Iterator<Item = u64>) -> ArrayRef {
        if self.is_short() {
            return Arc::new(UInt32Array::from_iter_values(calls.map(|call| call as u32)));
        }
        Arc::new(UInt64Array::from_iter_values(calls))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::batch::NONE;
    use proptest::prelude::*;

    #[test]
    fn a_call_takes_as_many_bits_as_its_parts() {
        // Units 0 to 4, three apps and none, one set and none.
        let bits = CallBits::of(5, 3, 1).unwrap();
        assert_eq!(bits, CallBits { unit: 3, app: 2, scopes: 1 });
        // Unit 4, the second app, the set: 100, 10, 1.
        assert_eq!(bits.call(4, 1, 0), 0b10_0101);
        assert_eq!(bits.call(4, NONE, NONE), 0b10_0000);
        assert_eq!(bits.parts(0b10_0000), (4, NONE, NONE));
        assert_eq!(bits.data_type(), DataType::UInt32);
        assert_eq!(CallBits::of(1, 1 << 20, 1 << 12).unwrap().data_type(), DataType::UInt64);
        assert_eq!(CallBits::of(1 << 20, 1 << 22, 1 << 22), None);
        assert_eq!(CallBits::of(1, 0, 0).unwrap().parts(0), (0, NONE, NONE));
    }

    proptest! {
        #[test]
        fn parts_of_a_call_come_back(
            [units, apps, sets] in [1usize..1 << 21, 0usize..1 << 21, 0usize..1 << 20],
            [unit, app, set]: [u32; 3],
        ) {
            let within = |of: u32, count: usize| match u32::try_from(count).unwrap() {
                0 => NONE,
                count => of % count,
            };
            let (unit, app, set) = (within(unit, units), within(app, apps), within(set, sets));
            let bits = CallBits::of(units, apps, sets).unwrap();
            for (app, set) in [(app, set), (NONE, set), (app, NONE)] {
                prop_assert_eq!(bits.parts(bits.call(unit, app, set)), (unit, app, set));
            }
        }
    }
}
