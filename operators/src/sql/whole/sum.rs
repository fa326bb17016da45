//! `sum` of whole numbers and decimals that fails where DataFusion's would wrap.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ArrowNativeTypeOp, AsArray, BooleanArray, PrimitiveArray};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::{ArrowPrimitiveType, DataType, Decimal128Type, FieldRef, Int64Type, UInt64Type};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::functions_aggregate::sum::Sum;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature,
};

/// `sum`, checked.
pub(super) fn checked_sum() -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::from(CheckedSum(Sum::new())))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CheckedSum(Sum);

impl AggregateUDFImpl for CheckedSum {
    fn name(&self) -> &str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.0.return_type(types)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.0.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match Wide::of(args.return_field.data_type()) {
            Some(wide) if !args.is_distinct => Ok(Box::new(wide)),
            _ => self.0.accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match Wide::of(args.return_field.data_type()) {
            Some(wide) if !args.is_distinct => Ok(Box::new(wide)),
            _ => self.0.create_sliding_accumulator(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.0.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let made = args.return_field.data_type();
        match made {
            DataType::Int64 => Ok(Box::new(Sums::<Int64Type>::new(made))),
            DataType::UInt64 => Ok(Box::new(Sums::<UInt64Type>::new(made))),
            DataType::Decimal128(..) => Ok(Box::new(Sums::<Decimal128Type>::new(made))),
            _ => self.0.create_groups_accumulator(args),
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

fn overflow() -> DataFusionError {
    DataFusionError::from(datafusion::arrow::error::ArrowError::ArithmeticOverflow(
        "a sum does not fit its type".to_owned(),
    ))
}

/// One sum, in 128 bits; rows may be taken back.
#[derive(Debug)]
struct Wide {
    total: i128,
    /// Values that are not NULL.
    count: i64,
    made: DataType,
}

impl Wide {
    fn of(made: &DataType) -> Option<Self> {
        let fits = matches!(made, DataType::Int64 | DataType::UInt64 | DataType::Decimal128(..));
        fits.then(|| Self { total: 0, count: 0, made: made.clone() })
    }

    fn add(&mut self, values: &ArrayRef, sign: i128) -> Result<()> {
        let mut part: i128 = 0;
        let mut take = |value: i128| {
            part = part.checked_add(value).ok_or_else(overflow)?;
            Ok::<(), DataFusionError>(())
        };
        match self.made {
            DataType::Int64 => values.as_primitive::<Int64Type>().iter().flatten().try_for_each(|v| take(v.into()))?,
            DataType::UInt64 => {
                values.as_primitive::<UInt64Type>().iter().flatten().try_for_each(|v| take(v.into()))?
            }
            _ => values.as_primitive::<Decimal128Type>().iter().flatten().try_for_each(&mut take)?,
        }
        self.count += sign as i64 * (values.len() - values.null_count()) as i64;
        self.total = part.checked_mul(sign).and_then(|part| self.total.checked_add(part)).ok_or_else(overflow)?;
        Ok(())
    }
}

impl Accumulator for Wide {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        values.iter().try_for_each(|values| self.add(values, 1))
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        values.iter().try_for_each(|values| self.add(values, -1))
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        // A partial sum counts as one value.
        states.iter().take(1).try_for_each(|values| self.add(values, 1))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let total = (self.count > 0).then_some(self.total);
        Ok(match &self.made {
            DataType::Int64 => ScalarValue::Int64(total.map(i64::try_from).transpose().map_err(|_| overflow())?),
            DataType::UInt64 => ScalarValue::UInt64(total.map(u64::try_from).transpose().map_err(|_| overflow())?),
            made => {
                let array = PrimitiveArray::<Decimal128Type>::from_iter([total]).with_data_type(made.clone());
                within_precision(&array)?;
                ScalarValue::try_from_array(&array, 0)?
            }
        })
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

fn within_precision(sums: &PrimitiveArray<Decimal128Type>) -> Result<()> {
    let DataType::Decimal128(precision, _) = sums.data_type() else { return Ok(()) };
    sums.validate_decimal_precision(*precision).map_err(|_| overflow())
}

/// A sum per group.
struct Sums<T: ArrowPrimitiveType> {
    totals: Vec<T::Native>,
    seen: Seen,
    made: DataType,
}

/// Which groups had a value that is not NULL.
enum Seen {
    /// All: a group begins with a row, and no row was left out so far.
    All,
    Some(Vec<bool>),
}

impl<T: ArrowPrimitiveType> fmt::Debug for Sums<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sums({})", self.made)
    }
}

impl<T: ArrowPrimitiveType> Sums<T> {
    fn new(made: &DataType) -> Self {
        Self { totals: Vec::new(), seen: Seen::All, made: made.clone() }
    }
}

impl<T: ArrowPrimitiveType + Send> GroupsAccumulator for Sums<T> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total_groups: usize,
    ) -> Result<()> {
        let known = self.totals.len();
        self.totals.resize(total_groups, T::Native::ZERO);
        let Some(values) = values.first() else { return Ok(()) };
        let values = values.as_primitive::<T>();
        let totals = self.totals.as_mut_slice();
        let rows = groups.iter().zip(values.values());
        if filter.is_none() && values.null_count() == 0 {
            for (group, value) in rows {
                totals[*group] = totals[*group].add_checked(*value)?;
            }
            if let Seen::Some(seen) = &mut self.seen {
                seen.resize(total_groups, false);
                groups.iter().for_each(|group| seen[*group] = true);
            }
            return Ok(());
        }
        if let Seen::All = self.seen {
            self.seen = Seen::Some(vec![true; known]);
        }
        let Seen::Some(seen) = &mut self.seen else { return Ok(()) };
        seen.resize(total_groups, false);
        for (i, (group, value)) in rows.enumerate() {
            if values.is_valid(i) && filter.is_none_or(|filter| filter.is_valid(i) && filter.value(i)) {
                totals[*group] = totals[*group].add_checked(*value)?;
                seen[*group] = true;
            }
        }
        Ok(())
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total_groups: usize,
    ) -> Result<()> {
        self.update_batch(values, groups, filter, total_groups)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let totals = emit.take_needed(&mut self.totals);
        let seen = match &mut self.seen {
            Seen::All => None,
            Seen::Some(seen) => Some(NullBuffer::from(emit.take_needed(seen))),
        };
        let sums = PrimitiveArray::<T>::new(totals.into(), seen);
        let sums: ArrayRef = Arc::new(sums.with_data_type(self.made.clone()));
        if let Some(decimals) = sums.as_primitive_opt::<Decimal128Type>() {
            within_precision(decimals)?;
        }
        Ok(sums)
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit)?])
    }

    fn size(&self) -> usize {
        let seen = if let Seen::Some(seen) = &self.seen { seen.capacity() } else { 0 };
        self.totals.capacity() * size_of::<T::Native>() + seen
    }
}
