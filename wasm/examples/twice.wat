;; A component for `Function`, by hand: `twice` gets a whole number and gives it doubled.
;;
;;   component: { file: twice.wat, function: twice, arguments: [quantity] }
;;   returns: { doubled: bigint }
(component
  ;; The types of wasm/wit/function.wit.
  (type $moment' (record (field "seconds" s64) (field "nanoseconds" u32)))
  (export $moment "moment" (type $moment'))
  (type $value' (variant
    (case "null") (case "boolean" bool) (case "integer" s64) (case "float" f64) (case "decimal" string)
    (case "text" string) (case "bytes" (list u8)) (case "date" s32) (case "time" u64)
    (case "instant" $moment) (case "date-time" $moment)))
  (export $value "value" (type $value'))

  (core module $code
    (memory (export "memory") 1)
    (data (i32.const 256) "there is no number to double")
    ;; Where the host puts the row: behind what is used here. Nothing is ever freed, as no instance sees a second row.
    (global $free (mut i32) (i32.const 4096))
    (func (export "realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
      (global.set $free (i32.add (local.get $at) (local.get $size)))
      (local.get $at))
    ;; What is given is at 16: whether it is an error, then where the list or the text is, and how long.
    (func $give (param $is_error i32) (param $at i32) (param $length i32) (result i32)
      (i32.store8 (i32.const 16) (local.get $is_error))
      (i32.store (i32.const 20) (local.get $at))
      (i32.store (i32.const 24) (local.get $length))
      (i32.const 16))
    ;; A cell takes 24 bytes: the number of its case, and at 8 what it holds. Case 2 is `integer`.
    (func (export "twice") (param $row i32) (param $cells i32) (result i32)
      (if (i32.ne (i32.load8_u (local.get $row)) (i32.const 2))
        (then (return (call $give (i32.const 1) (i32.const 256) (i32.const 28)))))
      (i64.store offset=8 (local.get $row) (i64.mul (i64.load offset=8 (local.get $row)) (i64.const 2)))
      (call $give (i32.const 0) (local.get $row) (i32.const 1))))

  (core instance $code (instantiate $code))
  (func (export "twice") (param "row" (list $value)) (result (result (list $value) (error string)))
    (canon lift (core func $code "twice") (memory $code "memory") (realloc (func $code "realloc")))))
