// Drives the published @icure/api package for the interoperability tests.
//
// One JSON command per line on stdin, {"id", "command", "arguments"}; one JSON answer per line on
// stdout, {"id", "result"} or {"id", "error": {message, status, url}}. The process keeps one
// logged-in session, ends with its stdin, and stops with a non-zero exit code on an unhandled
// rejection. Whatever the package logs goes to stderr.

import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import readline from 'node:readline'
import { format } from 'node:util'

import { clinicalCommands } from './clinical.mjs'

const logged = []
for (const level of ['log', 'info', 'warn', 'error', 'debug']) {
  console[level] = (...values) => {
    const text = format(...values)
    logged.push(text)
    process.stderr.write(`${text}\n`)
  }
}

// The package is CommonJS. Its main index loads every filter there is, which doubles the start.
const require = createRequire(import.meta.url)
const icure = require('@icure/api/icc-x-api')
const { XHR } = require('@icure/api/icc-api/api/XHR')
const { FilterChainHealthcareParty } = require('@icure/api/icc-api/model/FilterChainHealthcareParty')
const { FilterChainMaintenanceTask } = require('@icure/api/icc-api/model/FilterChainMaintenanceTask')
const { FilterChainPatient } = require('@icure/api/icc-api/model/FilterChainPatient')
const { RSAUtils } = require('@icure/api/icc-x-api/crypto/RSA')
const { MaintenanceTaskAfterDateFilter } = require('@icure/api/icc-x-api/filters/MaintenanceTaskAfterDateFilter')
const { MaintenanceTaskByHcPartyAndIdentifiersFilter } = require(
  '@icure/api/icc-x-api/filters/MaintenanceTaskByHcPartyAndIdentifiersFilter',
)
const { MaintenanceTaskByHcPartyAndTypeFilter } = require(
  '@icure/api/icc-x-api/filters/MaintenanceTaskByHcPartyAndTypeFilter',
)
const { MaintenanceTaskByIdsFilter } = require('@icure/api/icc-x-api/filters/MaintenanceTaskByIdsFilter')
const rsa = new RSAUtils(globalThis.crypto)

const memoryStorage = () => {
  const items = new Map()
  return {
    getItem: async (name) => items.get(name),
    setItem: async (name, value) => void items.set(name, value),
    removeItem: async (name) => void items.delete(name),
  }
}

// One file per item, named as the item. The names used here need no escaping.
const directoryStorage = (directory) => {
  const file = (name) => path.join(directory, encodeURIComponent(name))
  return {
    getItem: (name) =>
      readFile(file(name), 'utf8').catch((error) => {
        if (error.code === 'ENOENT') return undefined
        throw error
      }),
    setItem: async (name, value) => {
      await mkdir(directory, { recursive: true })
      await writeFile(file(name), value, { mode: 0o600 })
    },
    removeItem: (name) => rm(file(name), { force: true }),
  }
}

// Every request the package makes, so that a test can see how it authenticated.
const journal = []
const recordingFetch = async (url, init) => {
  const response = await fetch(url, init)
  const [scheme] = (new Headers(init?.headers).get('authorization') ?? '').split(' ')
  journal.push({
    method: init?.method ?? 'GET',
    path: new URL(url).pathname,
    authorization: scheme || null,
    status: response.status,
    contentType: response.headers.get('content-type'),
  })
  return response
}

let session

const current = () => {
  if (!session) throw new Error('Not logged in')
  return session
}

const open = async ({ url, username, password, basicOnly = false, storageDirectory, tokens }) => {
  session = undefined
  const storage = storageDirectory ? directoryStorage(storageDirectory) : memoryStorage()
  const keyStorage = new icure.KeyStorageImpl(storage)
  const apis = await icure.Api(
    url,
    username,
    password,
    globalThis.crypto,
    recordingFetch,
    basicOnly,
    false,
    storage,
    keyStorage,
    tokens,
  )
  const user = await apis.userApi.getCurrentUser()
  session = { apis, user, keyStorage, url }
  return user
}

const ownerId = () => current().apis.dataOwnerApi.getDataOwnerOf(current().user)

const getOwnDocument = () => {
  const { apis, user } = current()
  return user.healthcarePartyId
    ? apis.healthcarePartyApi.getHealthcareParty(user.healthcarePartyId, true)
    : apis.patientApi.getPatientRaw(user.patientId)
}

const fromHex = (hex) => Uint8Array.from(Buffer.from(hex, 'hex'))

const toJwk = ({ publicKey, privateKey }) => ({
  publicKey: icure.spkiToJwk(fromHex(publicKey)),
  privateKey: icure.pkcs8ToJwk(fromHex(privateKey)),
})

const toHex = ({ publicKey, privateKey }) => ({
  publicKey: icure.jwk2spki(publicKey),
  privateKey: icure.jwk2pkcs8(privateKey),
})

const generateFullJwk = async () => rsa.exportKeys(await rsa.generateKeyPair(), 'jwk', 'jwk')

// What a patient's first login does after publishing the key: the own document becomes an
// encrypted entity, shared as the user shares everything.
const initialiseOwnPatient = async () => {
  const { apis, user } = current()
  const document = await apis.patientApi.getPatientRaw(user.patientId)
  if (Object.keys(document.delegations ?? {}).length || Object.keys(document.encryptionKeys ?? {}).length) {
    return
  }
  const initialised = await apis.patientApi.initDelegationsAndEncryptionKeys(document, user)
  const latest = await apis.patientApi.getPatientRaw(user.patientId)
  await apis.patientApi.modifyPatientWithUser(user, {
    ...latest,
    delegations: { ...initialised.delegations, ...latest.delegations },
    encryptionKeys: { ...initialised.encryptionKeys, ...latest.encryptionKeys },
  })
}

const autoDelegates = (user) => [
  ...new Set([...(user.autoDelegations?.all ?? []), ...(user.autoDelegations?.medicalInformation ?? [])]),
]

// The package makes bytes of a picture.
const withPictureAsText = ({ picture, ...record }) =>
  picture ? { ...record, picture: Buffer.from(picture).toString('base64') } : record

const readProfessional = async (id) =>
  withPictureAsText(await current().apis.healthcarePartyApi.getHealthcareParty(id, true))

const readDevice = async (id) => withPictureAsText(await current().apis.deviceApi.getDevice(id))

// The package reports some undecryptable patients as decrypted, with nothing but a log line.
const findComplaint = () => logged.find((line) => /^Cannot (decrypt|parse) patient/.test(line))

const readPatient = async (id) => {
  const { apis, user } = current()
  logged.length = 0
  const { patient, decrypted } = await apis.patientApi.getPotentiallyEncryptedPatientWithUser(user, id)
  const complaint = findComplaint()
  if (!decrypted || complaint) throw new Error(`Could not decrypt patient ${id}: ${complaint ?? 'no usable key'}`)
  return patient
}

// The subscription to patients as the MedTech SDK makes it, which is built on this package: a new
// token for each connection, made again when it is closed (wire-protocol.md §8).
const subscription = { socket: undefined, connections: 0, heard: [], ended: false }

const connectForPatients = async (eventTypes) => {
  const { apis, url } = current()
  const token = await apis.authApi.token('GET', '/ws/v1/notification')
  const root = url.replace(/^http/, 'ws').replace(/\/rest\/v1$/, '/ws/v1')
  const socket = new WebSocket(`${root}/notification/subscribe;tokenid=${token}`)
  subscription.socket = socket
  socket.onopen = () => {
    socket.send(JSON.stringify({ eventTypes, entityClass: 'org.taktik.icure.entities.Patient' }))
    subscription.connections += 1
  }
  socket.onmessage = ({ data }) => {
    if (data === 'ping') socket.send('pong')
    else subscription.heard.push(JSON.parse(data))
  }
  socket.onclose = () => {
    if (!subscription.ended) setTimeout(() => connectForPatients(eventTypes), 50)
  }
}

const until = async (condition) => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20))
}

// Of the wire's $type, which the package's own classes set themselves.
const taskFilters = {
  MaintenanceTaskAfterDateFilter,
  MaintenanceTaskByHcPartyAndIdentifiersFilter,
  MaintenanceTaskByHcPartyAndTypeFilter,
  MaintenanceTaskByIdsFilter,
}

// With the class of the package for each $type; a filter of filters with these in it.
const builtFilter = ({ $type, filters, superSet, subSet, ...criteria }) => {
  const Filter = require(`@icure/api/icc-x-api/filters/${$type}`)[$type]
  if (filters) return new Filter(filters.map(builtFilter))
  return superSet ? new Filter(builtFilter(superSet), builtFilter(subSet)) : new Filter(criteria)
}

const commands = {
  ...clinicalCommands({
    current: () => current(),
    ownerId: () => ownerId(),
    readPatient: (id) => readPatient(id),
    builtFilter: (filter) => builtFilter(filter),
    chain: (entity, filter) => {
      const name = `FilterChain${entity}`
      return new (require(`@icure/api/icc-api/model/${name}`)[name])({ filter })
    },
  }),

  version: async () => {
    const file = new URL('./node_modules/@icure/api/package.json', import.meta.url)
    return JSON.parse(await readFile(file, 'utf8')).version
  },

  login: open,

  loginWithRefreshToken: ({ url, refreshToken }) =>
    open({ url, tokens: { token: 'none.yet', refreshToken } }),

  issueTokens: async ({ username, password }) => {
    const { successful, token, refreshToken } = await current().apis.authApi.login({ username, password })
    return { successful, token, refreshToken }
  },

  getUser: ({ id }) => (id ? current().apis.userApi.getUser(id) : current().apis.userApi.getCurrentUser()),

  createToken: ({ key, validity }) =>
    current().apis.userApi.getToken(current().user.id, key ?? crypto.randomUUID(), validity),

  registerKeyPair: async ({ store = false } = {}) => {
    const { apis, user, keyStorage } = current()
    const id = ownerId()
    const keyPair = toHex(await generateFullJwk())
    const jwk = toJwk(keyPair)
    const document = await getOwnDocument()
    if (document.publicKey) throw new Error(`Data owner ${id} already has a public key`)
    if (store) await keyStorage.storeKeyPair(`${id}.${keyPair.publicKey.slice(-32)}`, jwk)
    await apis.cryptoApi.cacheKeyPair(jwk)
    const published = { ...document, publicKey: keyPair.publicKey }
    if (user.healthcarePartyId) {
      await apis.healthcarePartyApi.modifyHealthcareParty(published)
    } else {
      await apis.patientApi.modifyPatientRaw(published)
      await initialiseOwnPatient()
    }
    apis.cryptoApi.emptyHcpCache(id)
    return keyPair
  },

  useKeyPair: async (keyPair) => {
    const { publicKey, aesExchangeKeys } = await getOwnDocument()
    if (publicKey !== keyPair.publicKey && !(keyPair.publicKey in (aesExchangeKeys ?? {}))) {
      throw new Error(`The key pair does not belong to data owner ${ownerId()}`)
    }
    await current().apis.cryptoApi.cacheKeyPair(toJwk(keyPair))
    return null
  },

  writeKeyFile: async ({ directory, name, publicKey, privateKey }) =>
    new icure.KeyStorageImpl(directoryStorage(directory)).storeKeyPair(name, toJwk({ publicKey, privateKey })),

  // As the helpers of the package itself write it: everything that WebCrypto exports.
  generateFullKeyFile: async ({ directory, name }) => {
    const jwk = await generateFullJwk()
    const keyPair = toHex(jwk)
    const item = name.replace('{fingerprint}', keyPair.publicKey.slice(-32))
    await new icure.KeyStorageImpl(directoryStorage(directory)).storeKeyPair(item, jwk)
    return keyPair
  },

  // Import a key file with WebCrypto and use both halves of it.
  useKeyFile: async ({ directory, name }) => {
    const jwk = await new icure.KeyStorageImpl(directoryStorage(directory)).getKeypair(name)
    if (!jwk) throw new Error(`No key pair is stored under ${name}`)
    const keys = await rsa.importKeyPair('jwk', jwk.privateKey, 'jwk', jwk.publicKey)
    const secret = crypto.getRandomValues(new Uint8Array(32))
    const decrypted = await rsa.decrypt(keys.privateKey, new Uint8Array(await rsa.encrypt(keys.publicKey, secret)))
    if (!Buffer.from(decrypted).equals(Buffer.from(secret))) throw new Error(`${name} holds two halves`)
    const exported = await rsa.exportKeys(keys, 'pkcs8', 'spki')
    return { publicKey: icure.ua2hex(exported.publicKey), privateKey: icure.ua2hex(exported.privateKey) }
  },

  loadStoredKeyPair: async ({ fingerprint }) => {
    const { apis, keyStorage } = current()
    const name = `${ownerId()}.${fingerprint}`
    const jwk = await keyStorage.getKeypair(name)
    if (!jwk) throw new Error(`No key pair is stored under ${name}`)
    await apis.cryptoApi.cacheKeyPair(jwk)
    return toHex(jwk)
  },

  createPatient: async ({ patient }) => {
    const { apis, user } = current()
    const instance = await apis.patientApi.newInstance(user, patient)
    const missing = autoDelegates(user).filter((id) => !instance.encryptionKeys[id]?.length)
    if (missing.length) throw new Error(`Not shared with ${missing.join(', ')}: ${logged.slice(-3).join('; ')}`)
    return apis.patientApi.createPatientWithUser(user, instance)
  },

  getPatient: ({ id }) => readPatient(id),

  getPatients: async ({ ids }) => {
    const { apis, user } = current()
    logged.length = 0
    const patients = await apis.patientApi.getPatientsWithUser(user, { ids })
    const complaint = findComplaint()
    if (complaint) throw new Error(complaint)
    return patients
  },

  // One page, as filterTasks.
  filterPatients: async ({ filter, startId, limit }) => {
    const { apis, user } = current()
    const chain = new FilterChainPatient({ filter: builtFilter(filter) })
    const page = await apis.patientApi.filterByWithUser(user, chain, startId, startId, limit)
    return { rows: page.rows, nextId: page.nextKeyPair?.startKeyDocId ?? null }
  },

  matchPatients: ({ filter }) => current().apis.patientApi.matchPatientsBy(builtFilter(filter)),

  modifyPatient: async ({ id, changes }) => {
    const { apis, user } = current()
    return apis.patientApi.modifyPatientWithUser(user, { ...(await readPatient(id)), ...changes })
  },

  givePatientAccess: async ({ id, delegateId }) => {
    const { apis, user } = current()
    const patient = await readPatient(id)
    const [secretIds, keys] = await apis.cryptoApi.extractDelegationsSFKsAndEncryptionSKs(patient, ownerId())
    const shared = await apis.cryptoApi.addDelegationsAndEncryptionKeys(
      null,
      patient,
      ownerId(),
      delegateId,
      secretIds[0],
      keys[0],
    )
    return apis.patientApi.modifyPatientWithUser(user, shared)
  },

  // What happens on a device that does not have the first key pair: the new one is added to the
  // data owner, and everybody it shares with is asked to give access back.
  addKeyPair: async () => {
    const { apis, user } = current()
    const pair = toHex(await generateFullJwk())
    await apis.cryptoApi.addRawKeyPairForOwnerId(apis.maintenanceTaskApi, user, ownerId(), pair)
    return pair
  },

  // The questions that other data owners asked this user: [{id, concernedOwnerId, newPublicKey}].
  keyUpdateRequests: async () => {
    const { apis, user } = current()
    const { rows } = await apis.maintenanceTaskApi.filterMaintenanceTasksByWithUser(
      user,
      undefined,
      100,
      new FilterChainMaintenanceTask({
        filter: new MaintenanceTaskByHcPartyAndTypeFilter({
          healthcarePartyId: ownerId(),
          type: 'KEY_PAIR_UPDATE',
        }),
      }),
    )
    const text = (task, name) => task.properties.find((p) => p.id === name)?.typedValue.stringValue
    return rows.map((task) => ({
      id: task.id,
      status: task.status,
      concernedOwnerId: text(task, 'dataOwnerConcernedId'),
      newPublicKey: text(task, 'dataOwnerConcernedPubKey'),
    }))
  },

  createTask: async ({ task, delegateId }) => {
    const { apis, user } = current()
    const instance = await apis.maintenanceTaskApi.newInstance(user, task, [delegateId])
    if (!instance.encryptionKeys[delegateId]?.length) {
      throw new Error(`Not shared with ${delegateId}: ${logged.slice(-3).join('; ')}`)
    }
    return apis.maintenanceTaskApi.createMaintenanceTaskWithUser(user, instance)
  },

  getTask: ({ id }) => current().apis.maintenanceTaskApi.getMaintenanceTaskWithUser(current().user, id),

  modifyTask: async ({ id, changes }) => {
    const { apis, user } = current()
    const task = await apis.maintenanceTaskApi.getMaintenanceTaskWithUser(user, id)
    return apis.maintenanceTaskApi.modifyMaintenanceTaskWithUser(user, { ...task, ...changes })
  },

  // One page: [{...}, ...] and the id the next one begins with.
  filterTasks: async ({ filter: { $type, ...criteria }, startId, limit }) => {
    const { apis, user } = current()
    const page = await apis.maintenanceTaskApi.filterMaintenanceTasksByWithUser(
      user,
      startId,
      limit,
      new FilterChainMaintenanceTask({ filter: new taskFilters[$type](criteria) }),
    )
    return { rows: page.rows, nextId: page.nextKeyPair?.startKeyDocId ?? null }
  },

  deleteTask: async ({ id }) => {
    await current().apis.maintenanceTaskApi.deleteMaintenanceTaskWithUser(current().user, id)
    return null
  },

  giveAccessBack: async ({ concernedOwnerId, newPublicKey }) => {
    const { apis, user } = current()
    await apis.cryptoApi.giveAccessBackTo(user, concernedOwnerId, newPublicKey)
    return null
  },

  // The package looks for the key to split in a store that nothing else of it fills. Where it has to
  // create an exchange key on the way, it drops the shares it has made so far: created beforehand.
  splitPrivateKey: async ({ keyPair, notaryIds, threshold }) => {
    const { apis, user, keyStorage } = current()
    const { cryptoApi } = apis
    await keyStorage.storeKeyPair(cryptoApi.rsaLocalStoreIdPrefix + ownerId(), toJwk(keyPair))
    for (const id of notaryIds) await cryptoApi.getOrCreateHcPartyKeys(await getOwnDocument(), id)
    const notaries = notaryIds.map((id) => ({ id }))
    const split = await cryptoApi.encryptShamirRSAKey(await getOwnDocument(), notaries, threshold)
    const written = Object.keys(split.privateKeyShamirPartitions ?? {}).length
    if (written !== notaryIds.length) throw new Error(`Only ${written} shares: ${logged.slice(-3).join('; ')}`)
    if (user.healthcarePartyId) await apis.healthcarePartyApi.modifyHealthcareParty(split)
    else await apis.patientApi.modifyPatientRaw(split)
    return null
  },

  // With the private keys of the notaries, as the package has no other way.
  recoverPrivateKey: async ({ notaryIds, notaryKeyPairs }) => {
    const { apis, keyStorage } = current()
    for (const keyPair of notaryKeyPairs) await apis.cryptoApi.cacheKeyPair(toJwk(keyPair))
    const notaries = notaryIds.map((id) => ({ id }))
    await apis.cryptoApi.decryptShamirRSAKey(await getOwnDocument(), notaries)
    const jwk = await keyStorage.getKeypair(apis.cryptoApi.rsaLocalStoreIdPrefix + ownerId())
    if (!jwk) throw new Error(`Nothing was recovered: ${logged.slice(-1)}`)
    return toHex(jwk)
  },

  startProcess: async ({ url, specId, processId, body, codeLength = 6 }) => {
    const requestId = crypto.randomUUID()
    await XHR.sendCommand(
      'POST',
      `${url}/${specId}/process/${processId}/${requestId}?codeLength=${codeLength}`,
      [new XHR.Header('Content-Type', 'application/json')],
      body,
      recordingFetch,
      'text/plain',
    )
    return requestId
  },

  validate: async ({ url, specId, requestId, code }) => {
    const target = `${url}/${specId}/process/validate/${requestId}-${code}`
    const { statusCode } = await XHR.sendCommand('GET', target, [], undefined, recordingFetch)
    return statusCode
  },

  createProfessional: async ({ professional }) => {
    const { id } = await current().apis.healthcarePartyApi.createHealthcareParty(professional)
    return readProfessional(id)
  },

  getProfessional: ({ id }) => readProfessional(id),

  modifyProfessional: async ({ id, changes }) => {
    const { healthcarePartyApi } = current().apis
    const stored = await healthcarePartyApi.getHealthcareParty(id, true)
    await healthcarePartyApi.modifyHealthcareParty({ ...stored, ...changes })
    return readProfessional(id)
  },

  findProfessionals: async ({ filter }) => {
    const { healthcarePartyApi } = current().apis
    const chain = new FilterChainHealthcareParty({ filter })
    return (await healthcarePartyApi.filterHealthPartiesBy(undefined, 100, chain)).rows.map(({ id }) => id)
  },

  createDevices: async ({ devices }) => {
    const saved = await current().apis.deviceApi.createDevices(devices)
    return Promise.all(saved.map(({ id }) => readDevice(id)))
  },

  getDevice: ({ id }) => readDevice(id),

  modifyDevice: async ({ id, changes }) => {
    const { deviceApi } = current().apis
    await deviceApi.updateDevice({ ...(await deviceApi.getDevice(id)), ...changes })
    return readDevice(id)
  },

  // A user for a patient, a token, and an email with both: the steps of MedTech's createAndInviteUser.
  inviteUser: async ({ url, specId, username, password, user, validity }) => {
    const { userApi } = current().apis
    const created = await userApi.createUser({ id: crypto.randomUUID(), ...user })
    const token = await userApi.getToken(created.id, crypto.randomUUID(), validity)
    const credentials = Buffer.from(`${username}:${password}`).toString('base64')
    await XHR.sendCommand(
      'POST',
      `${url}/${specId}/email/to/${created.login}`,
      [
        new XHR.Header('Content-Type', 'application/json'),
        new XHR.Header('Authorization', `Basic ${credentials}`),
      ],
      { from: 'a@clinic.example', html: `credentials : ${created.login} & ${token}`, subject: 'Invited' },
      recordingFetch,
      'text/plain',
    )
    return created
  },

  subscribeToPatients: async ({ eventTypes }) => {
    await connectForPatients(eventTypes)
    await until(() => subscription.connections)
    return null
  },

  waitForConnection: async ({ number }) => {
    await until(() => subscription.connections >= number)
    return null
  },

  // The first patients that were heard of, decrypted.
  heardOf: async ({ count }) => {
    const { apis, user } = current()
    await until(() => subscription.heard.length >= count)
    return apis.patientApi.decrypt(user, subscription.heard.slice(0, count), false)
  },

  requests: async () => journal.splice(0),

  // For benchmarks: run a command with each of the arguments, and return what that cost, in seconds.
  timed: async ({ command, each, atOnce }) => {
    const requests = journal.length
    const remaining = each.values()
    const before = process.cpuUsage()
    const start = performance.now()
    const work = async () => {
      for (const parameters of remaining) await commands[command](parameters)
    }
    await Promise.all(Array.from({ length: atOnce }, work))
    const wall = (performance.now() - start) / 1e3
    const { user, system } = process.cpuUsage(before)
    return { cpu: (user + system) / 1e6, wall, requests: journal.length - requests }
  },

  peakMemory: async () => process.resourceUsage().maxRSS * 1024,
}

const describe = (error) => ({
  message: String(error?.message ?? error),
  status: typeof error?.statusCode === 'number' ? error.statusCode : null,
  url: error?.url ?? null,
})

// Answers are ASCII: no character of a note can end a line or be lost on the way.
const ascii = (value) =>
  JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )

for await (const line of readline.createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const { id, command, arguments: parameters } = JSON.parse(line)
  let answer
  try {
    if (!Object.hasOwn(commands, command)) throw new Error(`Unknown command ${command}`)
    answer = { id, result: (await commands[command](parameters)) ?? null }
  } catch (error) {
    answer = { id, error: describe(error) }
  }
  process.stdout.write(`${ascii(answer)}\n`)
}

subscription.ended = true
subscription.socket?.close()
