import { Validator } from '@seriousme/openapi-schema-validator';
import { expect } from 'chai';
import { ownPackage } from '../../core/runtime/files/own-package.ts';
import { apiRoutes, strangerRoutes, uplinkRoutes, workerRoutes } from '../../edge/app.ts';
import { ollamaModelRoutes } from '../../edge/ollama/models.ts';
import { ollamaRoutes } from '../../edge/ollama/routes.ts';
import { callOf, openApiDocument, operations } from '../../edge/openapi/document.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { callsOf } from '../support/routes.ts';
import { read } from './markdown.ts';

describe('the OpenAPI document', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
  });
  after(() => t.close());

  it('is valid OpenAPI 3.1', async () => {
    const result = await new Validator().validate(openApiDocument('1.0.0') as Record<string, unknown>);
    expect(result.errors ?? []).to.deep.equal([]);
    expect(result.valid).to.equal(true);
  });

  it('is equal to docs/openapi.json (npm run openapi writes it)', () => {
    expect(JSON.parse(read('docs/openapi.json'))).to.deep.equal(openApiDocument(ownPackage().version));
  });

  it('tells every call of /api/v1, and of Ollama’s protocol, once, and no other', () => {
    const routes = [...apiRoutes, ...strangerRoutes, ...workerRoutes, ...uplinkRoutes].flatMap((make) =>
      callsOf(make(t.deps)),
    );
    const ollama = [ollamaRoutes, ollamaModelRoutes].flatMap((make) => callsOf(make(t.deps)));
    const served = [...routes, ...ollama.map((call) => call.replace(' /', ' /api/'))];
    expect(operations.map((operation) => operation.call)).to.have.members(served);
  });

  it('has an id for each call', () => {
    const { paths } = openApiDocument('1.0.0') as {
      paths: Record<string, Record<string, { operationId: string }>>;
    };
    const ids = operations.map((operation) => {
      const { method, path } = callOf(operation);
      return paths[path]?.[method]?.operationId ?? 'none';
    });
    expect(new Set(ids).size).to.equal(operations.length);
    expect(ids).not.to.include('none');
  });

  it('is served to who has a token', async () => {
    expect((await t.call('GET /openapi.json', { token: null })).status).to.equal(401);
    const answer = await t.call('GET /openapi.json');
    expect(answer.json).to.deep.equal(JSON.parse(JSON.stringify(openApiDocument(t.deps.version))));
  });
});
