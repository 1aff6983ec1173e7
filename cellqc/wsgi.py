"""What gunicorn serves."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cellqc.settings")
application = get_wsgi_application()
# What is loaded by now lives on. Looking through it for garbage again and again makes pages of thousands of wells wait.
gc.collect()
gc.freeze()
