import { expect } from 'chai';
import { McpctlError } from '../../../core/errors.ts';
import { readConfig } from '../../../core/runtime/settings/config.ts';

const good = { DATABASE_URL: 'postgres://localhost/x', REDIS_URL: 'redis://localhost' };
const names = ['databaseUrl', 'redisUrl', 'namespace', 'port', 'allowedHosts', 'redisTlsVerify'] as const;

const faultsOf = (env: Record<string, string>): Record<string, string> => {
  try {
    readConfig(env, names);
    return {};
  } catch (thrown) {
    expect(thrown).to.be.instanceOf(McpctlError).with.property('code', 'invalid_config');
    return Object.fromEntries(
      ((thrown as McpctlError).details ?? []).map((fault) => [fault.path, fault.message]),
    );
  }
};

describe('the configuration', () => {
  it('is read once, typed, with its defaults, and frozen', () => {
    const config = readConfig({ ...good, MCPCTL_ALLOWED_HOSTS: ' a.test, b.test,' }, names);
    expect(config).to.deep.equal({
      databaseUrl: good.DATABASE_URL,
      redisUrl: good.REDIS_URL,
      namespace: 'mcpctl',
      port: 3100,
      allowedHosts: ['a.test', 'b.test'],
      redisTlsVerify: true,
    });
    expect(Object.isFrozen(config)).to.equal(true);
  });

  it('reports every fault in one message', () => {
    const faults = faultsOf({ REDIS_URL: 'http://x', PORT: '99999', MCPCTL_REDIS_NAMESPACE: 'a b' });
    expect(Object.keys(faults)).to.have.members([
      'DATABASE_URL',
      'REDIS_URL',
      'PORT',
      'MCPCTL_REDIS_NAMESPACE',
    ]);
    expect(faults['DATABASE_URL']).to.match(/^is required/);
  });

  it('takes an empty value for none', () => {
    expect(readConfig({ ...good, PORT: '', MCPCTL_REDIS_NAMESPACE: '' }, names).port).to.equal(3100);
    expect(faultsOf({ ...good, DATABASE_URL: '' })).to.have.all.keys('DATABASE_URL');
  });

  it('names the setting that a misspelt one was meant to be', () => {
    expect(faultsOf({ ...good, MCPCTL_REDIS_NAMESPCE: 'x' })).to.deep.equal({
      MCPCTL_REDIS_NAMESPCE: 'is not a setting; did you mean MCPCTL_REDIS_NAMESPACE?',
    });
  });
});
