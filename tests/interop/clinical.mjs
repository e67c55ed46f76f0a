// The commands about conditions, data samples, attachments and codings. The steps are those that
// MedTech takes over this package (second-world.md §2), where the package itself has no method.

const random = () => crypto.randomUUID()

export const clinicalCommands = ({ current, ownerId, readPatient, builtFilter, chain }) => {
  // Which keys of the record this user has: the package reads on without any.
  const keysOf = async (record) => {
    const { extractedKeys } = await current().apis.cryptoApi.extractEncryptionsSKs(record, ownerId())
    if (!extractedKeys.length) throw new Error(`Could not decrypt ${record.id}: no usable key`)
    return extractedKeys
  }

  const readCondition = async (id) => {
    const { apis, user } = current()
    const condition = await apis.healthcareElementApi.getHealthElementWithUser(user, id)
    await keysOf(condition)
    return condition
  }

  const readContact = async (id) => {
    const { apis, user } = current()
    const contact = await apis.contactApi.getContactWithUser(user, id)
    await keysOf(contact)
    return contact
  }

  const decrypted = (services) => current().apis.contactApi.decryptServices(ownerId(), services)

  // The newest version: a sample may stand in several contacts.
  const newest = (services) =>
    Object.values(
      services.reduce((found, service) => {
        const other = found[service.id]
        return other && (other.modified ?? 0) > (service.modified ?? 0) ? found : { ...found, [service.id]: service }
      }, {}),
    )

  const filteredServices = async (filter) => {
    const { rows } = await current().apis.contactApi.filterServicesBy(
      undefined,
      1000,
      chain('Service', builtFilter(filter)),
    )
    return newest(rows)
  }

  const findService = async (id) => {
    const [service] = await filteredServices({ $type: 'ServiceByIdsFilter', ids: [id] })
    if (!service) throw new Error(`There is no sample ${id}`)
    return service
  }

  const readSample = async (id) => (await decrypted([await findService(id)]))[0]

  const secretIdsOf = async (patientId) => {
    const { extractedKeys } = await current().apis.cryptoApi.extractDelegationsSFKs(
      await readPatient(patientId),
      ownerId(),
    )
    return [...new Set(extractedKeys)]
  }

  // The record with a delegation for somebody, tied to its patient.
  const shared = async (record, delegateId) => {
    const { cryptoApi } = current().apis
    const [[secretId], [key]] = await cryptoApi.extractDelegationsSFKsAndEncryptionSKs(record, ownerId())
    const { extractedKeys } = await cryptoApi.extractKeysFromDelegationsForHcpHierarchy(
      ownerId(),
      record.id,
      record.cryptedForeignKeys ?? {},
    )
    const parent = extractedKeys.length ? { id: extractedKeys[0] } : null
    return cryptoApi.addDelegationsAndEncryptionKeys(parent, record, ownerId(), delegateId, secretId, key)
  }

  const subContactsOf = (samples) => {
    const byElement = {}
    for (const { id, healthElementsIds = [] } of samples) {
      for (const element of healthElementsIds) (byElement[element] ??= []).push({ serviceId: id })
    }
    return Object.entries(byElement).map(([healthElementId, services]) => ({ healthElementId, services }))
  }

  return {
    createConditions: async ({ patientId, conditions }) => {
      const { apis, user } = current()
      const patient = await readPatient(patientId)
      const instances = []
      for (const condition of conditions) {
        instances.push(
          await apis.healthcareElementApi.newInstance(user, patient, { id: random(), ...condition }, true),
        )
      }
      return apis.healthcareElementApi.createHealthElementsWithUser(user, instances)
    },

    getCondition: ({ id }) => readCondition(id),

    conditionsOf: async ({ patientId }) =>
      current().apis.healthcareElementApi.findBy(ownerId(), await readPatient(patientId), true),

    matchConditions: ({ filter }) => current().apis.healthcareElementApi.matchHealthElementsBy(builtFilter(filter)),

    modifyCondition: async ({ id, changes }) => {
      const { apis, user } = current()
      return apis.healthcareElementApi.modifyHealthElementWithUser(user, { ...(await readCondition(id)), ...changes })
    },

    giveConditionAccess: async ({ id, delegateId }) => {
      const { apis, user } = current()
      return apis.healthcareElementApi.modifyHealthElementWithUser(
        user,
        await shared(await readCondition(id), delegateId),
      )
    },

    deleteConditions: async ({ ids }) => {
      await current().apis.healthcareElementApi.deleteHealthElements(ids.join(','))
      return null
    },

    // Samples as services of one new contact; returns the services as the backend has them.
    createSamples: async ({ patientId, samples }) => {
      const { apis, user } = current()
      const patient = await readPatient(patientId)
      const services = samples.map((sample) => ({ id: random(), ...sample }))
      const contact = await apis.contactApi.newInstance(
        user,
        patient,
        { subContacts: subContactsOf(services), services: services.map(({ healthElementsIds, ...one }) => one) },
        true,
      )
      return (await apis.contactApi.createContactWithUser(user, contact)).services
    },

    getSample: ({ id }) => readSample(id),

    samplesOf: async ({ patientId }) =>
      decrypted(
        await filteredServices({
          $type: 'ServiceBySecretForeignKeys',
          healthcarePartyId: ownerId(),
          patientSecretForeignKeys: await secretIdsOf(patientId),
        }),
      ),

    // For benchmarks: how many there are, all of them read; page by page.
    countSamplesOf: async ({ patientId }) => {
      const filter = {
        $type: 'ServiceBySecretForeignKeys',
        healthcarePartyId: ownerId(),
        patientSecretForeignKeys: await secretIdsOf(patientId),
      }
      let count = 0
      let startId
      do {
        const page = await current().apis.contactApi.filterServicesBy(
          startId,
          1000,
          chain('Service', builtFilter(filter)),
        )
        const services = await decrypted(page.rows)
        if (services.some(({ content }) => !content?.en)) throw new Error('A sample was not decrypted')
        count += services.length
        startId = page.nextKeyPair?.startKeyDocId
      } while (startId)
      return count
    },

    // Into the same contact, with its siblings; or as MedTech does without a cache, into a new one.
    modifySample: async ({ id, changes, intoNewContact = false }) => {
      const { apis, user } = current()
      const contact = await readContact((await findService(id)).contactId)
      const now = Date.now()
      const changed = contact.services.map((one) => (one.id === id ? { ...one, ...changes, modified: now } : one))
      if (!intoNewContact) {
        const saved = await apis.contactApi.modifyContactWithUser(user, { ...contact, services: changed })
        return saved.services.find((one) => one.id === id)
      }
      const { rev, ...copied } = contact
      const saved = await apis.contactApi.createContactWithUser(user, {
        ...copied,
        id: random(),
        modified: now,
        services: changed.filter((one) => one.id === id).map(({ contactId, ...one }) => one),
      })
      return saved.services[0]
    },

    giveSampleAccess: async ({ id, delegateId }) => {
      const { apis, user } = current()
      const contact = await readContact((await findService(id)).contactId)
      const saved = await apis.contactApi.modifyContactWithUser(user, await shared(contact, delegateId))
      return saved.services.find((one) => one.id === id)
    },

    deleteSample: async ({ patientId, id }) => {
      const { apis, user } = current()
      const { created } = await findService(id)
      const now = Date.now()
      const contact = await apis.contactApi.newInstance(
        user,
        await readPatient(patientId),
        { services: [{ id, created, modified: now, endOfLife: now }] },
        false,
      )
      await apis.contactApi.createContactWithUser(user, contact)
      return id
    },

    // In clear, as MedTech writes it; or with keys, and the key sent along for the backend to use.
    createDocument: async ({ name, content, encrypted = false }) => {
      const { apis, user } = current()
      const document = encrypted
        ? await apis.documentApi.newInstance(user, undefined, { name })
        : { id: random(), name, hash: {} }
      const created = await apis.documentApi.createDocument(document)
      const [key] = encrypted ? await keysOf(created) : []
      return apis.documentApi.setDocumentAttachment(created.id, key, Buffer.from(content, 'base64'))
    },

    getDocument: ({ id }) => current().apis.documentApi.getDocument(id),

    // The bytes in base64. The backend opens what it is given a key for.
    getAttachment: async ({ id, askBackendToOpen = false }) => {
      const { apis } = current()
      const document = await apis.documentApi.getDocument(id)
      const [key] = askBackendToOpen ? await keysOf(document) : []
      const bytes = await apis.documentApi.getDocumentAttachment(id, document.attachmentId, key)
      return Buffer.from(bytes).toString('base64')
    },

    // The bytes of an encrypted attachment, which the package's own crypto opens.
    openAttachment: async ({ id }) => {
      const { apis } = current()
      const document = await apis.documentApi.getDocument(id)
      const [key] = await keysOf(document)
      const sealed = await apis.documentApi.getDocumentAttachment(id, document.attachmentId)
      const raw = Buffer.from(key.replace(/-/g, ''), 'hex')
      const imported = await apis.cryptoApi.AES.importKey('raw', raw)
      return Buffer.from(await apis.cryptoApi.AES.decrypt(imported, new Uint8Array(sealed))).toString('base64')
    },

    createCode: ({ code }) => current().apis.codeApi.createCode(code),

    getCode: ({ id }) => current().apis.codeApi.getCode(id),

    modifyCode: async ({ id, changes }) => {
      const { codeApi } = current().apis
      return codeApi.modifyCode({ ...(await codeApi.getCode(id)), ...changes })
    },

    findCodes: async ({ filter }) =>
      (
        await current().apis.codeApi.filterCodesBy(undefined, undefined, undefined, 100, undefined, undefined, chain('Code', builtFilter(filter)))
      ).rows,
  }
}
