// Writes t/vectors/rules/builder.json: queries of ours as react-querybuilder's
// formatQuery(…, 'jsonlogic') exports them.  Run where that package is
// installed; the suite reads the file alone.
//
//   npm install react-querybuilder@8 react react-dom
//   node builder.mjs > ../vectors/rules/builder.json

import { formatQuery } from 'react-querybuilder';

const rule = (field, operator, value, more = {}) => ({ field, operator, value, ...more });
const group = (combinator, rules, more = {}) => ({ combinator, rules, ...more });
const one = (...args) => group('and', [rule(...args)]);

// name, query, options of formatQuery
const queries = [
    ['=', one('member.tier', '=', 'gold')],
    ['= of a number', one('order.line_count', '=', 2)],
    ['= of a number as text', one('order.line_count', '=', '2')],
    ['= of a number, parsed', one('order.line_count', '=', '2'), { parseNumbers: true }],
    ['!=', one('member.tier', '!=', 'gold')],
    ['<', one('order.total', '<', '50.00')],
    ['>', one('order.total', '>', '50')],
    ['<=', one('order.quantity', '<=', '2.5')],
    ['>=', one('order.total', '>=', 50)],
    ['= of a date', one('member.birthday', '=', '1990-02-28')],
    ['>= of an instant', one('event.occurred_at', '>=', '2026-03-01T00:00:00Z')],
    ['contains', one('event.external_id', 'contains', 'SUM')],
    ['beginsWith', one('event.external_id', 'beginsWith', 'SUM')],
    ['endsWith', one('event.external_id', 'endsWith', '7')],
    ['doesNotContain', one('event.external_id', 'doesNotContain', 'SUM')],
    ['doesNotBeginWith', one('event.external_id', 'doesNotBeginWith', 'SUM')],
    ['doesNotEndWith', one('event.external_id', 'doesNotEndWith', '7')],
    ['null', one('member.birthday', 'null', null)],
    ['notNull', one('member.birthday', 'notNull', null)],
    ['in', one('member.tier', 'in', 'gold,silver')],
    ['in of a list', one('member.tier', 'in', ['gold', 'silver'])],
    ['notIn', one('member.tier', 'notIn', ['gold', 'silver'])],
    ['in of numbers', one('order.line_count', 'in', [1, 2])],
    ['in of numbers as text', one('order.line_count', 'in', '1,2')],
    ['between', one('order.total', 'between', '10,20')],
    ['between of a list', one('order.total', 'between', [10, 20])],
    ['between, parsed', one('order.total', 'between', ['10', '20'], { }), { parseNumbers: true }],
    ['notBetween', one('order.total', 'notBetween', '10,20')],
    ['= of a field', one('order.line_count', '=', 'order.quantity', { valueSource: 'field' })],
    ['< of a field', one('balance.held', '<', 'balance.available', { valueSource: 'field' })],
    ['in of fields',
     one('order.currency', 'in', 'refund.currency, order.currency', { valueSource: 'field' })],
    ['between fields',
     one('balance.held', 'between', 'balance.debt,balance.available', { valueSource: 'field' })],
    ['contains a field',
     one('event.external_id', 'contains', 'event.source', { valueSource: 'field' })],
    ['not', group('and', [rule('member.tier', '=', 'gold')], { not: true })],
    ['nothing', group('and', [])],
    ['a group of nothing', group('or', [group('and', []), rule('member.tier', '=', 'gold')])],
    ['and, or, not', group('and', [
        rule('order.total', '>=', '50'),
        group('or', [rule('member.tier', '=', 'gold'), rule('member.status', '!=', 'closed'),
            group('and', [rule('order.line_count', '>', '1'), rule('order.quantity', '<', '9')],
                  { not: true })]),
        rule('event.source', 'beginsWith', 'shop')])],
    ['combinators between', { rules: [rule('member.tier', '=', 'gold'), 'and',
        rule('order.line_count', '=', '1'), 'or', rule('order.quantity', '>', '3')] }],
    ['some', one('order.lines', '=',
                 group('and', [rule('sku', '=', 'A'), rule('quantity', '>=', '2')]),
        { match: { mode: 'some' } })],
    ['all', one('order.lines', '=', group('and', [rule('total', '>', '0')]),
                { match: { mode: 'all' } })],
    ['none', one('order.lines', '=', group('and', [rule('discount', '>', '0')]),
                 { match: { mode: 'none' } })],
    ['at least one', one('order.lines', '=', group('and', [rule('sku', 'contains', 'A')]),
        { match: { mode: 'atLeast', threshold: 1 } })],
    ['at least two',
     one('order.lines', '=', group('or', [rule('sku', '=', 'A'), rule('sku', '=', 'B')]),
        { match: { mode: 'atLeast', threshold: 2 } })],
    ['at most', one('order.lines', '=', group('and', [rule('quantity', '>', '5')]),
        { match: { mode: 'atMost', threshold: 1 } })],
    ['exactly', one('order.lines', '=', group('and', [rule('sku', 'notNull', null)]),
        { match: { mode: 'exactly', threshold: 2 } })],
    ['some text',
     one('member.segments', '=', group('and', [rule('', '=', 'vip')]),
         { match: { mode: 'some' } })],
];

const out = queries.map(([name, query, options]) => ({
    name, rule: formatQuery(query, { format: 'jsonlogic', ...options }) }));
process.stdout.write('[\n' + out.map((o) => JSON.stringify(o)).join(',\n') + '\n]\n');
