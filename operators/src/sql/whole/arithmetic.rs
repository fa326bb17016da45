//! `+`, `-` and `*` of whole numbers and decimals that fail where they would wrap.

use std::sync::Arc;

use datafusion::arrow::compute::kernels::numeric::{add, mul, sub};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr_common::datum::apply;
use datafusion::sql::sqlparser::ast::BinaryOperator;

/// Plans checked arithmetic in the place of DataFusion's own, which wraps.
#[derive(Debug)]
pub(super) struct CheckedArithmetic {
    plus: Arc<ScalarUDF>,
    minus: Arc<ScalarUDF>,
    times: Arc<ScalarUDF>,
}

impl Default for CheckedArithmetic {
    fn default() -> Self {
        let made = |op, name| Arc::new(ScalarUDF::from(Checked::new(op, name)));
        Self {
            plus: made(Operator::Plus, "checked_plus"),
            minus: made(Operator::Minus, "checked_minus"),
            times: made(Operator::Multiply, "checked_times"),
        }
    }
}

impl ExprPlanner for CheckedArithmetic {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let (op, checked) = match expr.op {
            BinaryOperator::Plus => (Operator::Plus, &self.plus),
            BinaryOperator::Minus => (Operator::Minus, &self.minus),
            BinaryOperator::Multiply => (Operator::Multiply, &self.times),
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let (left, right) = (expr.left.get_type(schema)?, expr.right.get_type(schema)?);
        let wraps = BinaryTypeCoercer::new(&left, &op, &right)
            .get_result_type()
            .is_ok_and(|made| made.is_integer() || made.is_decimal());
        if !wraps {
            return Ok(PlannerResult::Original(expr));
        }
        let call = ScalarFunction::new_udf(checked.clone(), vec![expr.left, expr.right]);
        Ok(PlannerResult::Planned(Expr::ScalarFunction(call)))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    op: Operator,
    name: &'static str,
    signature: Signature,
}

impl Checked {
    fn new(op: Operator, name: &'static str) -> Self {
        Self { op, name, signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let (left, right) = two(types)?;
        let (left, right) = BinaryTypeCoercer::new(left, &self.op, right).get_input_types()?;
        Ok(vec![left, right])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let (left, right) = two(types)?;
        BinaryTypeCoercer::new(left, &self.op, right).get_result_type()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (left, right) = two(&args.args)?;
        match self.op {
            Operator::Plus => apply(left, right, add),
            Operator::Minus => apply(left, right, sub),
            _ => apply(left, right, mul),
        }
    }
}

fn two<T>(values: &[T]) -> Result<(&T, &T)> {
    match values {
        [left, right] => Ok((left, right)),
        _ => datafusion::common::internal_err!("arithmetic of {} values", values.len()),
    }
}
