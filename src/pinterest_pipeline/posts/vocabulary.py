"""The words posts are written with, and the marks in real texts that break careless readers."""

from typing import Final

# What the posts of a category are about.
TOPICS: Final[dict[str, tuple[str, ...]]] = {
    "art": (
        "Acrylic Painting", "Watercolor", "Line Drawing", "Resin Art", "Sketchbook", "Abstract Canvas",
        "Gouache", "Portraits", "Oil Pastels", "Pour Painting", "Ink Wash", "Clay Sculpture",
        "Lino Prints", "Street Art",
    ),
    "beauty": (
        "Skin Care", "Lip Color", "Eye Makeup", "Nail Art", "Face Masks", "Curly Hair", "Braids",
        "Mascara", "Bob Cuts", "Glow Serum", "Brows", "Hair Masks", "Natural Soap", "Perfume",
    ),
    "christmas": (
        "Christmas Trees", "Wreaths", "Advent Calendar", "Gift Wrap", "Ornaments", "Cookies", "Stockings",
        "Mantels", "Snowmen", "Xmas Cards", "Table Settings", "Garlands", "Elf Pranks", "Hot Cocoa Bar",
    ),
    "diy-and-crafts": (
        "Paper Plates", "Macrame", "Origami", "Felt Toys", "Rock Painting", "Candle Making",
        "Yarn Crafts", "Pallets", "Slime", "Bead Jewelry", "Scrapbooks", "Sewing", "Paper Flowers",
        "Bird Feeders",
    ),
    "education": (
        "Phonics", "Math Centers", "Science Labs", "Book Reports", "Morning Work", "Fractions",
        "Spelling", "Homeschool", "Classroom Rules", "Bulletin Boards", "Grammar", "Study Notes",
        "Preschool", "Reading Logs",
    ),
    "event-planning": (
        "Baby Shower", "Wedding Venue", "Centerpieces", "Party Games", "Invitations", "Bridal Brunch",
        "Balloon Arch", "Birthday", "Budget Planner", "Cake Table", "Guest Lists", "Photo Booth",
        "Picnics", "Anniversary",
    ),
    "finance": (
        "Budgeting", "Side Hustles", "Debt Payoff", "Saving Money", "Investing", "Passive Income",
        "Cash Envelopes", "Credit Score", "Frugal Living", "Meal Budget", "Retirement", "Emergency Fund",
        "Coupons", "Tax Tips",
    ),
    "home-decor": (
        "Living Room", "Small Bedroom", "Farmhouse Kitchen", "Gallery Wall", "Boho Rugs", "Entryway",
        "Bathroom", "Open Shelves", "Accent Wall", "Patio", "Storage", "Lighting", "House Plants",
        "Fireplace",
    ),
    "mens-fashion": (
        "Street Style", "Suits", "Leather Boots", "Denim Jackets", "Beards", "Watches", "Short Hair",
        "Linen Shirts", "Sneakers", "Knitwear", "Chinos", "Winter Coats", "Capsule Wardrobe", "Ties",
    ),
    "quotes": (
        "Life Quotes", "Love Quotes", "Wise Words", "Stoic Quotes", "Friendship", "Affirmations",
        "Self Love", "Mindset", "Funny Quotes", "Short Poems", "Gratitude", "Motivation", "Book Quotes",
        "Happiness",
    ),
    "tattoos": (
        "Sleeve Tattoo", "Fine Line", "Koi Carps", "Rose Tattoo", "Small Tattoos", "Finger Tattoo",
        "Script", "Moth Tattoo", "Dotwork", "Blackwork", "Couple Tattoo", "Wrist Tattoo", "Mandala",
        "Wolf Tattoo",
    ),
    "travel": (
        "Road Trips", "Packing List", "Beaches", "Hiking Trails", "City Breaks", "Iceland", "Italy",
        "Bali", "Portugal", "Budget Travel", "Camping", "Train Rides", "Hidden Gems", "Solo Travel",
    ),
    "vehicles": (
        "Classic Cars", "Camper Vans", "Motorcycles", "Pickup Trucks", "Jeep", "Hatchbacks",
        "Muscle Cars", "Cafe Racers", "Electric Cars", "Old Buses", "Off Road", "Sports Cars", "Car Care",
        "Lowriders",
    ),
}  # fmt: skip

TAG_SHAPES: Final = (
    "{}", "{} Ideas", "{} Tips", "Easy {}", "Diy {}", "Best {}", "{} 2021", "{} Inspo", "Cute {}",
    "Modern {}", "Simple {}", "{} Guide", "{} Goals", "Vintage {}", "Top {}", "Cool {}",
)  # fmt: skip
FOREIGN_TAGS: Final = (
    "Sprüche",
    "Décoration",
    "Ideias Criativas",
    "рукоделие",
    "תמונות",
    "手作り",
    "أفكار",
    "İlham",
)

TITLES: Final = (
    "30 Colorful {} Ideas for Rainy Days", "The Best {} of the Year", "How to Start with {} at Home",
    "{} on a Budget", "15 Stunning {} You Have to See", "{} Made Easy: A Step by Step Guide",
    "Why Everyone Loves {}", "My Favorite {}", "10 {} Mistakes & How to Avoid Them", "{}",
    "Everything You Need to Know About {}", "{} Inspiration", "What Nobody Tells You About {}",
    "{} - A Beginner's Guide", "Our {} Makeover, Before and After", "101 Easy {} Hacks",
    "{} to Brighten Your Week", "Why You’re Not Enjoying {} (#1 Tip)", "Free Printable {} Planner",
    "{} for Beginners (Free Printable)", "{} You Will Love", "{} That Actually Work", "{} 101",
    "{} & More", "{}: What to Do Next, with Step by Step Photos",
    "9 Ways to Get More out of {} This Weekend", "So Much {}!", "From Drab to Fab with {}",
    "The Ultimate Guide to {} for Busy People",
)  # fmt: skip
TITLE_JOINS: Final = (" | ", " - ", ", ", ": ", " & ", " / ")

SENTENCES: Final = (
    "Looking for {}?", "Easy {} that everybody at home can join in.",
    "Creative and colorful {} for every taste!",
    "Learn how to get started with {} today, even if you have never tried it before.",
    "Click through for all the tips.",
    "I can't believe how simple {} can be; you only need things you already have at home.",
    "Save this for later!",
    "Here are my favorite {}, with pictures and prices, and where I found every single thing that you see.",
    "Whether you are a beginner or an old hand, {} will never let you down.",
    "#{} #inspiration #love #instagood",
    "From small and simple to big and bold: {} that people ask about, and the stories behind them.",
    "Check out this list of {} that won't break the bank.", "Find out more about {} on the blog.",
    "So good.", "If you love {}, this is a list for you.",
    "A collection of {}, picked by our editors.", "Love it.", "Simply {}.", "{}, explained.",
    "New on the blog: {} for every day of the week.", "All about {} & more!",
    "Pin it now, read it later: {} in ten minutes.", "Step by step {} with photos.", "Our guide to {}.",
    "How we did our {} on a tiny budget, what went wrong, and what we would do again.",
    "Everything about {}: what to buy, where to start, how long it takes and how much it costs.",
    "Enjoy!", "My kids asked for {} again and again, which is the highest praise there is.",
    "Photo credit: the author.",
)  # fmt: skip

# Put in at a space of the text.
HAZARDS: Final = (
    "\n", "\n\n", "\r\n", "\t", "\\", "C:\\new\\table", 'the "basic" kind', "it's \"so 'good'\"", ", ,",
    " | ", "{a: 1}", "50%", "<b>new</b>", "&amp;", "✨", "❤️", "😍😍", "👩‍👧‍👦", "🎄", "💅🏽", "🇮🇹",
    "–", "№ 5", "½", "יצירה לילדים", "בית", "своими руками", "идеи для дома", "أفكار جميلة", "ديكور",
    "手作りアイデア", "装饰灵感", "예쁜 손글씨", "ไอเดีย", "\u200b", "\u200d", "\u200e", "\ufeff",
    "\u2063", "\u00ad",
)  # fmt: skip
