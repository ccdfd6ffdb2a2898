"""The routes, one module for each kind of thing; ``BLUEPRINTS`` lists them in the order of the documentation."""

from api.routes.blobs import blueprint as blobs
from api.routes.deliveries import blueprint as deliveries
from api.routes.devices import blueprint as devices
from api.routes.docs import blueprint as docs
from api.routes.events import blueprint as events
from api.routes.health import blueprint as health
from api.routes.images import blueprint as images
from api.routes.jobs import blueprint as jobs
from api.routes.looks import blueprint as looks
from api.routes.manifests import blueprint as manifests
from api.routes.pauses import blueprint as pauses
from api.routes.redoing import blueprint as redoing
from api.routes.results import blueprint as results
from api.routes.templates import blueprint as templates
from api.routes.uploads import blueprint as uploads
from api.routes.usage import blueprint as usage
from api.routes.webhooks import blueprint as webhooks
from api.web.admin import blueprint as admin
from api.web.jobs import blueprint as job_pages
from api.web.login import blueprint as login
from api.web.networks import blueprint as networks
from api.web.repair import blueprint as repair

BLUEPRINTS = (
    uploads,
    templates,
    jobs,
    manifests,
    events,
    results,
    redoing,
    images,
    looks,
    pauses,
    webhooks,
    deliveries,
    usage,
    devices,
    blobs,
    health,
    docs,
    login,
    repair,
    networks,
    job_pages,
    admin,
)
