'use strict';
// node-redis' createCluster for cluster_load.js. It follows MOVED and ASK of plain commands; what was sent over a
// connection that ended, what it queued for a node that left, and redirections of a MULTI it hands to its caller. After
// a failover its link to a node may be stuck for good, also with redis-server: then its caller makes a new one.

const { createCluster } = require('redis');

const LOST = ['Socket closed unexpectedly', 'The client is closed', 'Disconnects client',
  '(read|write|connect) E[A-Z]+', 'CLUSTERDOWN', 'Cannot find node', 'silent'];
const SHOWN = {
  any: new RegExp('^(' + LOST.join('|') + ')'),
  multi: /^(MOVED|ASK|TRYAGAIN|EXECABORT)/,
  pipeline: /^(MOVED|ASK)/,
  mset: /^TRYAGAIN/,
  mget: /^TRYAGAIN/,
};

exports.connect = async (ports, database) => {
  const begin = async () => {
    const made = createCluster({
      rootNodes: ports.map(port => ({ url: `redis://127.0.0.1:${port}` })),
      defaults: { database, socket: { reconnectStrategy: () => 50, connectTimeout: 1000 } },
      maxCommandRedirections: 100,
    });
    for (const event of ['error', 'node-error']) made.on(event, () => {});
    await made.connect();
    return made;
  };
  let cluster = await begin(), renewing = null;
  const subscriptions = [];
  const listening = (verb, channel, listener) => {
    if (!subscriptions.some(s => s[0] === verb && s[1] === channel)) subscriptions.push([verb, channel, listener]);
    return cluster[verb](channel, listener);
  };
  const renew = async () => {
    const old = cluster;
    cluster = await begin();
    for (const [verb, channel, listener] of subscriptions) await cluster[verb](channel, listener);
    old.destroy(); // what waits there ends as "The client is closed"
    renewing = null;
  };
  const all = (results) => {
    for (const r of results) if (r instanceof Error) throw r;
    return results;
  };
  // A MULTI or a pipeline that is redirected doesn't make it ask for the slots anew; a plain command does.
  const redirected = async (key, work) => {
    try {
      return all(await work());
    } catch (error) {
      await cluster.get(key).catch(() => {});
      throw error;
    }
  };
  return {
    splits: false,
    losesSharded: true,
    get: k => cluster.get(k),
    set: (k, v) => cluster.set(k, String(v)),
    hset: (k, f, v) => cluster.hSet(k, f, String(v)),
    hgetall: k => cluster.hGetAll(k),
    rpush: (k, v) => cluster.rPush(k, String(v)),
    del: k => cluster.del(k),
    blpop: async (k, s) => ((await cluster.blPop(k, s)) || {}).element || null,
    lrange: k => cluster.lRange(k, 0, -1),
    mset: (keys, v) => cluster.mSet(keys.map(k => [k, String(v)])),
    mget: keys => cluster.mGet(keys),
    multi: (keys, v) => {
      const chain = cluster.multi();
      keys.forEach(k => chain.set(k, String(v)));
      return redirected(keys[0], () => chain.exec());
    },
    incr: (keys) => {
      const chain = cluster.multi();
      keys.forEach(k => chain.incr(k));
      return redirected(keys[0], () => chain.execAsPipeline());
    },
    publish: (c, v) => cluster.publish(c, String(v)),
    spublish: (c, v) => cluster.sPublish(c, String(v)),
    subscribe: (c, f) => listening('subscribe', c, f),
    ssubscribe: (c, f) => listening('sSubscribe', c, f),
    renew: () => (renewing = renewing || renew()),
    shown: (kind, text, exact) => {
      const found = (!exact && SHOWN.any.exec(text)) || (SHOWN[kind] || /^\b$/).exec(text);
      return found ? found[0] : null;
    },
  };
};
