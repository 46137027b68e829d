import { expect } from 'chai';
import { readConfig } from '../../../core/runtime/settings/config.ts';

const names = ['redisUrl', 'redisNodes', 'redisSentinels', 'redisSentinelName'] as const;
const read = (env: Record<string, string>) => readConfig(env, names);

describe('where Redis is', () => {
  it('is one address, whatever is in its password', () => {
    for (const url of ['redis://h', 'redis://:a,b@h:6379/2', 'rediss://u:p@[::1]:6380'])
      expect(read({ REDIS_URL: url }))
        .to.include({ redisUrl: url })
        .and.to.deep.include({ redisNodes: [] });
  });

  it('is several nodes of a Cluster, which need to say scheme and password once', () => {
    const nodes = ['rediss://u:p@a:1', 'rediss://u:p@b:2', 'rediss://u:p@c'];
    for (const text of ['rediss://u:p@a:1,b:2, c', nodes.join()]) {
      const { redisUrl, redisNodes } = read({ REDIS_URL: text });
      expect([redisUrl, redisNodes]).to.deep.equal([nodes[0], nodes]);
    }
    expect(() => read({ REDIS_URL: 'redis://a:1,b:x' })).to.throw(/REDIS_URL: use a URL like/);
    expect(() => read({ REDIS_URL: 'redis://a:1,http://b' })).to.throw(/REDIS_URL: use a URL like/);
  });

  it('is what Sentinels say: REDIS_URL may be left out then', () => {
    const { redisUrl, redisSentinels, redisSentinelName } = read({
      REDIS_SENTINELS: 's1, s2:1,rediss://u:p@s3',
    });
    expect(redisUrl).to.match(/^redis:/);
    expect(redisSentinels).to.deep.equal(['redis://s1:26379', 'redis://s2:1', 'rediss://u:p@s3:26379']);
    expect(redisSentinelName).to.equal('mymaster');
    expect(() => read({})).to.throw(/REDIS_URL: is required/);
    for (const wrong of ['s1:port', 'http://s1', 'redis://s1/2'])
      expect(() => read({ REDIS_SENTINELS: wrong })).to.throw(/REDIS_SENTINELS: write host:port/);
  });
});
