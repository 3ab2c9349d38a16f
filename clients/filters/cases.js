// Inputs and filters that are put to simple-json-match. Each is JSON text, because some numbers would
// not survive as JavaScript values.

const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));
const group = (name, pairs) =>
  pairs.map(([input, filter]) => ({ group: name, input: text(input), filter: text(filter) }));
// Strings in the lists below are JSON texts; this makes a JSON string.
const s = (value) => JSON.stringify(value);
const field = (name, pairs) => group(name, pairs.map(([a, filter]) => [{ a }, { a: filter }]));

// What the documentation of the package shows.
const documented = group("documented", [
  ["true", "true"],
  ["true", "false"],
  [{ test: true }, { test: false }],
  [{ id: 123, title: "A product" }, { id: 123 }],
  [{ type: "order/created", order: { id: 123 } }, { type: "order/created" }],
  [{ product: { title: "A product", inventory: 0 } }, { product: { inventory: 0 } }],
  [{ product: { title: "Card", tags: ["gift", "other"] } }, { product: { tags: "gift" } }],
  [{ product: { tags: ["gift", "other", "more"] } }, { product: { tags: ["gift", "other"] } }],
  [{ order: { id: 1, items: [{ id: 456, title: "x" }] } }, { order: { items: { id: 456 } } }],
  [{ product: { inventory: 5 } }, { product: { inventory: { $lte: 10 } } }],
  [{ product: { inventory: 5 } }, { product: { inventory: { $or: [1, 5] } } }],
  [{ hello: "world" }, { $or: [{ hello: "johny" }, { hello: "mark" }] }],
  [{ updated: "2020-04-20", created: "2020-04-20" }, { updated: { $ref: "created" } }],
  [
    { variants: [{ u: "2020-05-20", c: "2020-04-20" }, { u: "2020-04-20", c: "2020-04-20" }] },
    { variants: { u: { $ref: "variants[$index].c" } } },
  ],
  [{ inventory: 0, old: 10 }, { inventory: { $lte: { $ref: "old" } } }],
  [{ inventory: 0 }, { old_inventory: { $exist: false } }],
  [{ inventory: 0 }, { $not: { inventory: 1 } }],
]);

const simple = field("simple values", [
  [1, 1], [1, 2], ["1", 1], [1, "1"], ["true", true], [true, "true"], [null, null], [false, 0],
  [0, false], [1, true], ["1", true], ["", false], ["0", false], [null, ""], ["", null], [0, null],
  [null, 0], ["A", "a"], [1000, "1e3"], ["1e3", 1000], [" 1", 1], ["0x10", 16], ["0b11", 3],
  ["1_000", 1000], ["1,5", 1.5], ["12px", 12], ["Infinity", 1], ["x", "x"], ["x", "y"],
  [1.5, "1.50"], [-0, 0], [[true], 1], [[0], false],
]).concat(
  group("simple values", [
    [s("abc"), s("abc")], ["1", "1"], ["1", s("1")], ["null", "null"], ["[1,2]", "1"], ["[[1]]", "1"],
    [{ a: 1 }, "null"], [{ a: 1 }, s("x")], [{ a: 1 }, "1"], [s("x"), { a: 1 }], ["0", "0"],
    ["false", "false"], [s(""), s("")], [s("abc"), { $startsWith: "a" }], ["5", { $gt: 1, $lt: 9 }],
    ["5", { $gt: 1, $lt: 3 }],
    ['{"a":9007199254740993}', '{"a":9007199254740992}'],
    ['{"a":9007199254740993}', '{"a":"9007199254740993"}'],
    ['{"a":9007199254740992}', '{"a":{"$lt":9007199254740993}}'],
    [{ a: 0.1 + 0.2 }, { a: 0.3 }],
    ['{"a":1e400}', '{"a":{"$gt":1}}'],
    ['{"a":1,"a":2}', '{"a":2}'],
  ]),
);

const objects = group("objects", [
  [{ "a.b": 1 }, { "a.b": 1 }], [{ a: { b: 1 } }, { "a.b": 1 }], [{ a: 1 }, { a: 1, b: null }],
  [{ a: 1 }, { a: 1, b: {} }], [{ a: 1 }, { a: 1, b: [] }], [{ a: {} }, { a: { b: {} } }],
  [{ a: {} }, { a: {} }], [{ a: { b: 1 } }, { a: {} }], [{ a: 1 }, { a: {} }], [{ a: "x" }, { a: {} }],
  [{ a: null }, { a: {} }], [{ a: [] }, { a: {} }], [{ a: [1] }, { a: {} }], [{ a: [{}] }, { a: {} }],
  [{}, "{}"], [{ a: 1 }, "{}"], ["1", "{}"], ["[]", "{}"], [{ a: { b: 1 } }, { a: 1 }],
  [{ a: 1 }, { a: { b: 1 } }], [{ a: "abc" }, { a: { length: 3 } }],
  [{ a: [1, 2] }, { a: { length: 2 } }], [{ a: [1, 2] }, { a: { 0: 1 } }],
  [{}, { toString: { $exist: true } }], [{}, { constructor: { $exist: true } }],
  [{ a: { b: { c: { d: 1 } } } }, { a: { b: { c: { d: 1 } } } }],
  [{ a: { b: { c: { d: 1 } } } }, { a: { b: { c: { d: 2 } } } }],
  [{ a: { $foo: 1 } }, { a: { $foo: 1 } }], [{ a: 5 }, { a: { $foo: 1 } }],
  [{ a: 5 }, { a: { $ne: 6 } }], [{ a: 5 }, { a: { $exists: true } }],
  [{ a: 5 }, { a: { $gt: 1, b: 3 } }], [{ a: { b: 3 } }, { a: { $exist: true, b: 3 } }],
  [{ a: { b: 4 } }, { a: { $exist: true, b: 3 } }],
]);

const lists = field("lists", [
  [[1, 2], 1], [[1, 2], "1"], [[1, 2], [1]], [[1, 2], [1, 3]], [[1, 2], []], [[], []], [[], 1],
  [[[1, 2], [3]], 1], [[[1, 2], [3]], [[1]]], [[[1, 2], [3]], [[1, 2]]], [[[1, 2], [3]], [1]],
  [[{ b: 1 }, { b: 2 }], { b: 2 }], [[{ b: 1 }, { b: 2 }], [{ b: 2 }, { b: 1 }]],
  [[{ b: 1 }, { b: 2 }], [{ b: 3 }]], [1, [1]], ["1", [1]], [{ b: 1 }, [{ b: 1 }]], [{ b: 1 }, []],
  [1, []], ["x", []], [{ 0: 5 }, [5]], [[1, null], null], [[null], [null]], [[1], null],
  [{ b: [{ c: [1, 2] }, { c: [3] }] }, { b: { c: 3 } }],
  [{ b: [{ c: [1, 2] }, { c: [3] }] }, { b: { c: [1, 2] } }],
  [{ b: [{ c: [1, 2] }, { c: [3] }] }, { b: { c: [1, 3] } }],
  [[{ b: 1, c: 2 }, { b: 3, c: 4 }], { b: 1, c: 4 }],
  [[{ b: 1, c: 2 }, { b: 3, c: 4 }], { b: 1, c: 2 }], [[1, "x", true], ["x", true]],
  [["a"], ["a", "a"]], [[{ x: [] }], { x: [] }], [[[]], []], [[[]], [[]]], [[{}], [{}]],
  [[1, [2, [3]]], 3], [[[1], [3]], [1, 3]], [[{ b: [1, 2] }], { b: [2] }],
]);

const missing = group(
  "missing",
  [
    1, null, {}, [], { b: 1 }, { $eq: 1 }, { $eq: null }, { $neq: 1 }, { $neq: null }, { $gt: 1 },
    { $lt: 1 }, { $in: [1] }, { $in: "a" }, { $nin: [1] }, { $nin: "a" }, { $startsWith: "a" },
    { $endsWith: "" }, { $exist: true }, { $exist: false }, { $not: 1 }, { $not: { $exist: true } },
    { $not: { $exist: false } }, { $or: [1] }, { $or: [{ $exist: false }] }, { $and: [] }, { $or: [] },
    { $ref: "b" }, { $eq: { $ref: "b" } }, { b: { $exist: false } }, { $not: { b: 1 } },
    { $exist: false, $eq: 1 }, { $exist: false, $not: { $eq: 1 } },
  ].map((filter) => [{ b: 2 }, { a: filter }]),
);

const nothing = field(
  "null",
  [
    1, {}, [], { b: 1 }, { $eq: 1 }, { $eq: null }, { $eq: 0 }, { $neq: 1 }, { $neq: null }, { $gt: -1 },
    { $lt: 1 }, { $lte: 0 }, { $in: [1] }, { $in: "a" }, { $in: [null] }, { $nin: [1] }, { $nin: "a" },
    { $nin: [null] }, { $startsWith: "a" }, { $exist: true }, { $exist: false }, { $not: 1 },
    { $not: { $eq: 1 } }, { $or: [1] }, { $or: [null] }, { $or: [{ $eq: null }] }, { $and: [null] },
  ].map((filter) => [null, filter]),
);

const equalities = ["$eq", "$neq"].flatMap((operator) =>
  field(
    operator,
    [
      [5, 5], [5, "5"], ["5", 5], [5, 6], [0, false], [0, ""], ["", 0], [1, true], ["true", true],
      [true, true], [[1, 2], [1, 2]], [[1, 2], [2, 1]], [[1, 2], 1], [[1, 2], [1]], [[], []], [[[1]], [1]],
      [[1], 1], [{ b: 1 }, { b: 1 }], [{ b: 1, c: 2 }, { c: 2, b: 1 }], [{ b: 1, c: 2 }, { b: 1 }],
      [{ b: 1 }, { b: "1" }], [{}, {}], [{ b: { c: [1] } }, { b: { c: [1] } }],
      [[{ b: 1 }, { b: 2 }], { b: 2 }], ["a", "b"], [1.5, "1.50"], ["1,2", [1, 2]], [1, [1]],
      [{ b: 1 }, 5], [5, { b: 1 }], [[null], null], [{ $eq: 1 }, { $eq: 1 }], ["é", "e\u0301"],
    ].map(([value, operand]) => [value, { [operator]: operand }]),
  ),
);

const orders = ["$gt", "$gte", "$lt", "$lte"].flatMap((operator) =>
  field(
    operator,
    [
      [5, 5], [6, 5], [4, 5], [5, "5"], ["6", 5], ["a", "b"], ["B", "a"], ["10", 9], ["10", "9"],
      ["abc", 1], [5, "abc"], [true, 0], [1, true], [{}, 0], [[1], 0], ["", "a"], ["", 0], [5, null],
      ["2020-01-01", "2020-02-01"], ["é", "z"], ["\u{1F600}", "\uFFFD"], [[1, 9], 4], [-1.5, -1],
    ].map(([value, operand]) => [value, { [operator]: operand }]),
  ),
);

const contents = ["$in", "$nin"].flatMap((operator) =>
  field(
    operator,
    [
      [1, [1, 2]], [3, [1, 2]], ["1", [1, 2]], [1, ["1"]], ["abc", "b"], ["abc", "z"],
      ["abc", ["abc"]], ["abc", ["b"]], [[1, 2], [1]], [[1, 2], 1], [["abc", "x"], "b"], [5, "5"], [5, 5],
      [15, 5], ["15", 5], ["15", 6], [true, [true]], [true, [1]], [false, [true]], [true, "true"],
      [{ b: 1 }, [1]], [{ b: 1 }, [{ b: 1 }]], ["", ""], ["abc", ""], ["", ["", 1]], [[], [1]],
      [1, null], ["a", {}], ["a", true], [1, [1, null]], [2, [1, null]], [1, []], ["null", [null]],
      [12, "1"], ["a", [["a"]]], [1.0, [1]],
    ].map(([value, operand]) => [value, { [operator]: operand }]),
  ),
);

const affixes = ["$startsWith", "$endsWith"].flatMap((operator) =>
  field(
    operator,
    [
      ["abc", "abc"], ["abc", "a"], ["abc", "c"], ["abc", ""], ["", "a"], ["abc", ["a", "x"]],
      ["abc", ["x", "c"]], ["abc", []], [["abc", "xyz"], "x"], [123, "1"], ["123", 1], ["abc", null],
      [true, "t"], ["abc", ["a", 1]], [{ b: 1 }, "b"], ["ABC", "a"], ["ab", "abc"],
    ].map(([value, operand]) => [value, { [operator]: operand }]),
  ),
);

const exists = group("$exist", [
  [{ a: 1 }, { a: { $exist: true } }], [{ a: 1 }, { a: { $exist: false } }],
  [{ a: [] }, { a: { $exist: true } }], [{ a: {} }, { a: { $exist: true } }],
  [{ a: "" }, { a: { $exist: true } }], [{ a: false }, { a: { $exist: true } }],
  [{ a: 1 }, { a: { $exist: "true" } }], [{ a: 1 }, { a: { $exist: 1 } }], [{}, { a: { $exist: 0 } }],
  [{ a: [{ b: 1 }, { c: 1 }] }, { a: { b: { $exist: false } } }],
  [{ a: [{ b: 1 }, { b: 1 }] }, { a: { b: { $exist: false } } }],
  [{ a: [] }, { a: { b: { $exist: false } } }], [{ a: 1 }, { a: { b: { $exist: false } } }],
  [{ a: {} }, { a: { b: { $exist: false } } }], [{ a: [1] }, { a: { b: { $exist: false } } }],
  [{ a: {} }, { a: { b: { c: { $exist: false } } } }], ["1", { $exist: true }],
  [{ a: 1 }, { $exist: true }], [{ a: 1 }, { $exist: false }],
]);

const combined = group("$or, $and, $not", [
  [{ a: 5 }, { a: { $or: [{ $gt: 3 }, { $lt: 1 }] } }], [{ a: 5 }, { a: { $and: [{ $gt: 3 }, { $lt: 1 }] } }],
  [{ a: 5 }, { a: { $and: [{ $gt: 3 }, { $lt: 9 }] } }], [{ a: 5 }, { a: { $or: [] } }],
  [{ a: 5 }, { a: { $and: [] } }], [{ a: 5 }, { $or: [] }], [{ a: 5 }, { $and: [] }],
  [{ a: 5 }, { $or: 5 }], [{ a: 5 }, { a: { $or: 5 } }], [{ a: 5 }, { $and: { a: 5 } }],
  [{ a: 5, b: 1 }, { b: 1, $or: [{ a: 5 }] }], [{ a: 5, b: 2 }, { b: 1, $or: [{ a: 5 }] }],
  [{ a: 5, b: 1 }, { b: 1, $or: [{ a: 6 }] }], [{ a: 5 }, { $or: [{ a: 5 }], $and: [{ a: 6 }] }],
  [{ a: 5 }, { a: { $or: [5], $gt: 9 } }], [{ a: 5 }, { a: { $gt: 1, $not: 5 } }],
  [{ a: 5 }, { a: { $gt: 1, $not: 6 } }], [{ a: [1, 2] }, { a: { $or: [1, 9] } }],
  [{ a: [1, 2] }, { a: { $and: [1, 2] } }], [{ a: [1, 5] }, { a: { $or: [{ $gt: 4 }] } }],
  [{ a: { b: 1 } }, { a: { $or: [{ b: 1 }] } }], [{ a: { b: 1, c: 2 } }, { a: { $and: [{ b: 1 }, { c: 2 }] } }],
  [{ a: [{ b: 1, c: 2 }] }, { a: { $and: [{ b: 1 }, { c: 2 }] } }],
  [{ a: [{ b: 1 }, { c: 2 }] }, { a: { $and: [{ b: 1 }, { c: 2 }] } }],
  [{ a: {} }, { a: { $or: [{ b: { $exist: false } }] } }], [{}, { $or: [{ b: { $exist: false } }] }],
  [{ a: "" }, { a: { $or: [""] } }], [{ a: 0 }, { a: { $or: [0] } }], [{ a: 0 }, { a: { $and: [0] } }],
  [{ a: [1, 2] }, { a: { $or: [[1, 2]] } }], [{ a: [[1, 2]] }, { a: { $or: [2] } }],
  [{ a: { b: 1 } }, { a: { $or: [{ $exist: true }] } }], ["[1,2]", { $or: [1] }], ["5", { $or: [5] }],
  ["null", { $or: [null] }],
  [{ a: 2 }, { a: { $not: 1 } }], [{ a: 1 }, { a: { $not: 1 } }], [{ a: 2 }, { a: { $not: { $eq: 1 } } }],
  [{ a: 2 }, { a: { $not: { $gt: 1 } } }], [{ a: {} }, { a: { $not: { b: 1 } } }],
  [{ a: { b: 1 } }, { a: { $not: { b: 1 } } }], [{ a: { b: 1, c: 2 } }, { a: { $not: { b: 1, c: 3 } } }],
  [{ a: [1, 2] }, { a: { $not: 1 } }], [{ a: [1, 2] }, { a: { $not: 3 } }], [{ a: [] }, { a: { $not: 1 } }],
  [{ a: [{ b: 1 }, { b: 2 }] }, { a: { $not: { b: 1 } } }],
  [{ a: [{ b: 1 }, { b: 2 }] }, { a: { $not: { b: 3 } } }],
  [{ a: [{ b: 1, c: 2 }, { b: 1, c: 3 }] }, { a: { b: 1, $not: { c: 2 } } }],
  ["2", { $not: 1 }], ["1", { $not: 1 }], ["null", { $not: null }], ["null", { $not: 1 }],
  [{ a: 1, b: 2 }, { a: 1, $not: { b: 2 } }], [{ a: 1, b: 3 }, { a: 1, $not: { b: 2 } }],
  [{ a: 1 }, { $not: { $not: { a: 1 } } }], [{ a: 1 }, { a: { $not: { $not: 1 } } }],
  [{ a: 3 }, { a: { $not: { $or: [1, 2] } } }], [{ a: 3 }, { $not: { a: { $or: [1, 2] } } }],
  [{ a: 3 }, { $not: {} }], [{ a: 5 }, { $not: { $or: [{ a: 1 }] } }],
  [{ a: 5 }, { $not: { $and: [{ a: 5 }, { a: 1 }] } }], [{ a: 5 }, { $not: [1] }], [{ a: 5 }, { $not: 5 }],
  [{ a: 5 }, { $and: [{ $or: [{ a: 1 }, { a: 5 }] }, { $not: { a: 6 } }] }],
  [{ a: 5, x: 1 }, { $or: [{ $and: [{ a: 5 }, { x: 1 }] }] }],
  [{ a: { b: 5 } }, { a: { b: { $or: [{ $not: { $eq: 4 } }] } } }],
]);

const references = group("$ref", [
  [{ a: 1, b: 1 }, { a: { $ref: "b" } }], [{ a: 1, b: 2 }, { a: { $ref: "b" } }],
  [{ a: 1, b: "1" }, { a: { $ref: "b" } }], [{ a: 1, b: { c: 1 } }, { a: { $ref: "b.c" } }],
  [{ a: 1, b: [3, 1] }, { a: { $ref: "b[1]" } }], [{ a: 1, b: [3, 1] }, { a: { $ref: "b" } }],
  [{ a: [1, 2], b: 1 }, { a: { $ref: "b" } }], [{ a: [3, 1], b: [1, 3] }, { a: { $ref: "b" } }],
  [{ a: [3, 1], b: [1] }, { a: { $ref: "b" } }], [{ a: { x: 1 }, b: { x: 1 } }, { a: { $ref: "b" } }],
  [{ a: { x: 1, y: 2 }, b: { x: 1 } }, { a: { $ref: "b" } }], [{ a: 1, b: 5 }, { a: { $lt: { $ref: "b" } } }],
  [{ a: 1, b: 5 }, { a: { $gt: { $ref: "b" } } }], [{ a: 1, b: [1, 2] }, { a: { $in: { $ref: "b" } } }],
  [{ a: 3, b: [1, 2] }, { a: { $nin: { $ref: "b" } } }],
  [{ a: "abc", b: "a" }, { a: { $startsWith: { $ref: "b" } } }],
  [{ a: "abc", b: ["a"] }, { a: { $startsWith: { $ref: "b" } } }],
  [{ a: "abc", b: "c" }, { a: { $endsWith: { $ref: "b" } } }], [{ a: 1 }, { a: { $ref: "zz" } }],
  [{ a: 1 }, { a: { $eq: { $ref: "zz" } } }], [{ a: 1 }, { a: { $neq: { $ref: "zz" } } }],
  [{ a: 1 }, { a: { $lt: { $ref: "zz" } } }], [{ a: 1 }, { a: { $nin: { $ref: "zz" } } }],
  [{ a: 1, "x-y": 1 }, { a: { $ref: "x-y" } }], [{ a: 1, "x y": 1 }, { a: { $ref: "['x y']" } }],
  [{ a: 1, b: { "x-y": 1 } }, { a: { $ref: "b['x-y']" } }], [{ a: 1, b: 1 }, { a: { $ref: "$.b" } }],
  [{ a: 1 }, { a: { $ref: "" } }], [{ a: 1 }, { a: { $ref: 5 } }], [{ a: 1, b: 1 }, { a: { $ref: "..b" } }],
  [{ a: 1, b: [2, 1] }, { a: { $ref: "b[*]" } }], [{ a: 1, b: [2, 1] }, { a: { $ref: "b.1" } }],
  [{ v: [{ u: 1, c: 1 }, { u: 2, c: 3 }] }, { v: { u: { $ref: "v[$index].c" } } }],
  [{ v: [{ u: 1, c: 2 }, { u: 2, c: 1 }] }, { v: { u: { $ref: "v[$index].c" } } }],
  [{ v: [{ u: 1, c: 2 }, { u: 2, c: 2 }] }, { v: { u: { $ref: "v[$index].c" } } }],
  [{ v: [{ u: 1, c: 2 }, { u: 2, c: 3 }] }, { v: { u: { $lt: { $ref: "v[$index].c" } } } }],
  [
    { v: [{ w: [{ u: 1, c: 9 }] }, { w: [{ u: 1, c: 8 }, { u: 5, c: 5 }] }] },
    { v: { w: { u: { $ref: "v[$index].w[$index].c" } } } },
  ],
  [
    { v: [{ w: [{ u: 1, c: 9 }] }, { w: [{ u: 1, c: 8 }, { u: 5, c: 6 }] }] },
    { v: { w: { u: { $ref: "v[$index].w[$index].c" } } } },
  ],
  [{ v: [1, 2, 3], w: [3, 2, 1] }, { v: { $ref: "w[$index]" } }],
  [{ v: [1, 2, 3], w: [3, 1, 2] }, { v: { $ref: "w[$index]" } }],
  [{ v: [{ u: 1, c: 1 }, { u: 2, c: 2 }] }, { v: [{ u: { $ref: "v[$index].c" } }] }],
  [{ a: 1, v: [1] }, { a: { $ref: "v[$index]" } }], [{ a: 1, b: 2 }, { a: { $not: { $ref: "b" } } }],
  [{ a: 1, b: 1 }, { a: { $or: [{ $ref: "b" }] } }], [{ a: 1, b: 1 }, { $or: [{ a: { $ref: "b" } }] }],
  [{ a: 1, b: 2 }, { $not: { a: { $ref: "b" } } }], [{ a: 1, b: 1 }, { a: { $or: [9, { $eq: { $ref: "b" } }] } }],
  [{ x: { a: 1, b: 1 } }, { x: { a: { $ref: "b" } } }], [{ x: { a: 1, b: 1 } }, { x: { a: { $ref: "x.b" } } }],
  [{ a: null, b: null }, { a: { $ref: "b" } }], [{ b: null }, { a: { $ref: "b" } }],
  [{ a: 0, b: false }, { a: { $ref: "b" } }], [{ a: 1, b: 1 }, { a: { $eq: { $ref: "b", x: 1 } } }],
  [{ a: 1, b: 1 }, { a: { $ref: "b", $gt: 5 } }], [{ a: { $gt: 0 }, b: 5 }, { b: { $ref: "a" } }],
  [{ a: [1, 2], b: 1 }, { a: [{ $ref: "b" }, 2] }], [{ a: 1, b: 1 }, { a: { $in: [{ $ref: "b" }] } }],
  [{ a: 1, b: [2, 1] }, { a: { $ref: "b[-1]" } }], [{ a: [{ x: 1 }, 2], b: { x: 1 } }, { a: { $ref: "b" } }],
]);

// Payloads as they come from well-known senders, shortened.
const push = {
  ref: "refs/heads/main", before: "0".repeat(40), forced: false,
  repository: { id: 7, full_name: "acme/site", private: true, topics: ["web", "docs"] },
  commits: [
    { id: "a1", message: "fix: typo", author: { username: "ada" }, added: [], modified: ["docs/a.md"] },
    { id: "b2", message: "feat: x", author: { username: "bot[bot]" }, added: ["src/b.rs"], modified: [] },
  ],
  head_commit: null,
};
const invoice = {
  type: "invoice.paid", livemode: true,
  data: { object: { amount_paid: 4900, currency: "eur", customer: "cus_1", lines: { data: [{ price: { id: "p1" }, quantity: 2 }] } } },
};
const real = group("payloads", [
  [push, { ref: "refs/heads/main", repository: { full_name: "acme/site" } }],
  [push, { ref: { $startsWith: ["refs/heads/release/", "refs/tags/"] } }],
  [push, { ref: { $in: "heads" }, forced: false }], [push, { commits: { modified: { $or: [{ $startsWith: "docs/" }] } } }],
  [push, { commits: { author: { username: { $endsWith: "[bot]" } } } }],
  [push, { commits: { author: { username: { $neq: "ada" } }, added: "src/b.rs" } }],
  [push, { commits: [{ id: "a1" }, { id: "b2" }] }], [push, { repository: { topics: ["docs", "web"] } }],
  [push, { head_commit: null }], [push, { head_commit: { $neq: null } }], [push, { deleted: { $exist: false } }],
  [push, { $or: [{ ref: "refs/heads/dev" }, { repository: { private: false } }] }],
  [push, { $and: [{ ref: { $endsWith: "main" } }, { $not: { forced: true } }] }],
  [invoice, { type: { $in: ["invoice.paid", "invoice.voided"] }, livemode: true }],
  [invoice, { data: { object: { amount_paid: { $gte: 5000 } } } }],
  [invoice, { data: { object: { amount_paid: { $gt: 1000, $lt: 10000 }, currency: { $nin: ["usd", "gbp"] } } } }],
  [invoice, { data: { object: { lines: { data: { quantity: { $gt: 1 }, price: { id: "p1" } } } } } }],
]);

export const cases = [
  documented, simple, objects, lists, missing, nothing, equalities, orders, contents, affixes, exists,
  combined, references, real,
].flat();
