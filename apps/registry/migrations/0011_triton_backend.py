"""A version's field and the way back from routing's table may not bear one name."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("registry", "0010_promotion_kept")]
    operations = [migrations.RenameField("modelversion", "backend", "triton_backend")]
