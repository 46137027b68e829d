import { expect } from 'chai';
import type { Request } from 'express';
import { headersOf } from '../../core/mcp/param-headers.ts';
import { eventIds, readEventId } from '../../edge/mcp/call/event-id.ts';
import { faultOf, isModern } from '../../edge/mcp/legs/modern.ts';
import { alone } from './streamed.ts';

const asking = (headers: Record<string, string>): Request =>
  ({ get: (name: string) => headers[name.toLowerCase()] }) as unknown as Request;
const message = (method: string, params: object = {}) => ({
  jsonrpc: '2.0' as const,
  id: 1,
  method,
  params: { ...params },
});
const version = 'io.modelcontextprotocol/protocolVersion';

describe('the era of a request to an MCP endpoint', () => {
  it('is what it says of itself, and of before where it says nothing', () => {
    const isOf = (headers: Record<string, string>, meta?: object): boolean =>
      isModern(asking(headers), message('tools/list', meta && { _meta: meta }));
    expect(isOf({})).to.equal(false);
    expect(isOf({ 'mcp-protocol-version': '2025-11-25' })).to.equal(false);
    expect(isOf({ 'mcp-protocol-version': '2025-11-25' }, { progressToken: 1 })).to.equal(false);
    expect(isOf({ 'mcp-protocol-version': '2026-07-28' })).to.equal(true);
    expect(isOf({}, alone)).to.equal(true);
    expect(isOf({}, { [version]: '1900-01-01' })).to.equal(true);
  });

  it('has the codes of its faults', () => {
    const headers = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/list' };
    const codeOf = (
      changed: Record<string, string | undefined>,
      meta: object = alone,
      method = 'tools/list',
    ) => {
      const sent = Object.entries({ ...headers, ...changed }).filter(([, value]) => value !== undefined);
      return faultOf(
        asking(Object.fromEntries(sent) as Record<string, string>),
        message(method, { _meta: meta }),
      )?.code;
    };
    expect(codeOf({})).to.equal(undefined);
    expect(codeOf({}, {})).to.equal(-32602);
    expect(codeOf({ 'mcp-protocol-version': undefined })).to.equal(-32020);
    expect(codeOf({ 'mcp-method': 'TOOLS/LIST' })).to.equal(-32020);
    expect(codeOf({ 'mcp-method': '  tools/list ' })).to.equal(undefined);
    const old = { ...alone, [version]: '1900-01-01' };
    expect(codeOf({ 'mcp-protocol-version': '1900-01-01' }, old)).to.equal(-32022);
    expect(codeOf({}, old)).to.equal(-32020);
  });
});

describe('arguments that are repeated in headers', () => {
  const of = (properties: object, more: object = {}) => headersOf({ type: 'object', properties, ...more });

  it('are those that are reached through properties alone, under names of their own', () => {
    const region = { type: 'string', 'x-mcp-header': 'Region' };
    expect(of({ at: { type: 'object', properties: { region } } })).to.deep.equal([
      { header: 'Region', path: ['at', 'region'], type: 'string' },
    ]);
    expect(of({ plain: { type: 'string' } })).to.deep.equal([]);
    expect(of({ a: region, b: { ...region, 'x-mcp-header': 'REGION' } })).to.equal(null);
    expect(of({ a: { type: 'number', 'x-mcp-header': 'N' } })).to.equal(null);
    expect(of({ a: { type: 'string', 'x-mcp-header': 'two words' } })).to.equal(null);
    expect(of({ list: { type: 'array', items: region } })).to.equal(null);
    expect(of({}, { anyOf: [{ properties: { region } }] })).to.equal(null);
  });
});

describe('ids of events of an MCP stream', () => {
  const scope = { key: 'key', scope: 'session' };
  const taskId = '01a229e1-bf3b-739a-bc79-e5ddcd825bde';
  const stream = { taskId, id: 'long', progressToken: 7, of: 'call' } as const;

  it('say all that it takes to go on after them, to whom they were given', () => {
    const idAt = eventIds(scope, stream);
    expect(readEventId(idAt(null, 2), scope)).to.deep.equal({ ...stream, after: null });
    const read = { ...stream, of: 'read' } as const;
    expect(readEventId(eventIds(scope, read)(null, 2), scope)).to.deep.equal({ ...read, after: null });
    const at = { epoch: 1, seq: 3, tag: '0be4a7a573' };
    expect(readEventId(idAt(at, 2), scope)).to.deep.equal({ ...stream, after: at });
    for (const other of [
      { ...scope, scope: 'another' },
      { ...scope, key: 'other' },
    ])
      expect(readEventId(idAt(at, 2), other)).to.equal(null);
    for (const made of ['', 'x', idAt(at, 2).replace('01a2', '11a2'), `${idAt(null, 2)}.`.slice(1)])
      expect(readEventId(made, scope), made).to.equal(null);
  });
});
