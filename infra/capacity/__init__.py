"""What a volume of Pix takes and costs, which quota binds first, and how instances follow a day.

python -m infra.capacity --help
"""
