'use strict';
// ioredis' Cluster for cluster_load.js. It retries MOVED, ASK, TRYAGAIN, CLUSTERDOWN and closed connections itself; of
// a transaction only what is refused before EXEC: the end of it is its caller's, for it may have been carried out.

const SHOWN = { multi: /^(TRYAGAIN|Command aborted due to connection close)/ };
const SHOWN_WHILE_ALL_LIVE = { multi: /^TRYAGAIN/ };

const { Cluster } = require('ioredis');

exports.connect = async (ports, database) => {
  const cluster = new Cluster(ports.map(port => ({ host: '127.0.0.1', port })), {
    // A failover takes longer than the node timeout: retries for some seconds, as its documentation says.
    maxRedirections: 100,
    retryDelayOnFailover: 100,
    retryDelayOnClusterDown: 100,
    retryDelayOnTryAgain: 20,
    clusterRetryStrategy: () => 50,
    slotsRefreshTimeout: 2000,
    slotsRefreshInterval: 1500,
    shardedSubscribers: true,
    redisOptions: { db: database, maxRetriesPerRequest: null },
  });
  cluster.on('error', () => {});
  await new Promise(resolve => cluster.once('ready', resolve));
  const listeners = {};
  for (const event of ['message', 'smessage']) {
    cluster.on(event, (channel, text) => listeners[channel] && listeners[channel](text));
  }
  const all = (results) => {
    for (const [error] of results) if (error) throw error;
    return results.map(r => r[1]);
  };
  return {
    splits: false, // a pipeline of ioredis is for one node
    get: k => cluster.get(k),
    set: (k, v) => cluster.set(k, v),
    hset: (k, f, v) => cluster.hset(k, f, v),
    hgetall: k => cluster.hgetall(k),
    rpush: (k, v) => cluster.rpush(k, v),
    del: k => cluster.del(k),
    blpop: async (k, s) => ((await cluster.blpop(k, s)) || [])[1] || null,
    lrange: k => cluster.lrange(k, 0, -1),
    mset: (keys, v) => cluster.mset(...keys.flatMap(k => [k, v])),
    mget: keys => cluster.mget(...keys),
    multi: async (keys, v) => {
      const chain = cluster.multi();
      keys.forEach(k => chain.set(k, v));
      return all(await chain.exec());
    },
    incr: async (keys) => {
      const chain = cluster.pipeline();
      keys.forEach(k => chain.incr(k));
      return all(await chain.exec());
    },
    publish: (c, v) => cluster.publish(c, v),
    spublish: (c, v) => cluster.spublish(c, v),
    subscribe: (c, f) => { listeners[c] = f; return cluster.subscribe(c); },
    ssubscribe: (c, f) => { listeners[c] = f; return cluster.ssubscribe(c); },
    shown: (kind, text, exact) => {
      const known = (exact ? SHOWN_WHILE_ALL_LIVE : SHOWN)[kind], found = known && known.exec(text);
      return found ? found[0] : null;
    },
  };
};
