-- number: 5
-- question: What is the median follower count of each age group?
-- chart: grouped_bar
-- Over posts, and over people with the largest count of each; a person is one (user_name, age, date_joined).
WITH posts AS (
  SELECT
    CASE
      WHEN users.`age` BETWEEN 18 AND 24 THEN '18-24'
      WHEN users.`age` BETWEEN 25 AND 35 THEN '25-35'
      WHEN users.`age` BETWEEN 36 AND 50 THEN '36-50'
      WHEN users.`age` > 50 THEN '50+'
    END AS `age_group`,
    users.`user_name`,
    users.`age`,
    users.`date_joined`,
    pin.`follower_count`
  FROM `pin` AS pin
  JOIN `user` AS users ON pin.`ind` = users.`ind`
  WHERE pin.`follower_count` IS NOT NULL
),
by_post AS (
  SELECT `age_group`, MEDIAN(`follower_count`) AS `median_follower_count`
  FROM posts
  WHERE `age_group` IS NOT NULL
  GROUP BY `age_group`
),
by_user AS (
  SELECT `age_group`, MEDIAN(`most`) AS `median_follower_count_users`
  FROM (
    SELECT `age_group`, MAX(`follower_count`) AS `most`
    FROM posts
    WHERE `age_group` IS NOT NULL
    GROUP BY `age_group`, `user_name`, `age`, `date_joined`
  ) AS people
  GROUP BY `age_group`
)
SELECT by_post.`age_group`, `median_follower_count`, `median_follower_count_users`
FROM by_post
JOIN by_user ON by_post.`age_group` = by_user.`age_group`
ORDER BY by_post.`age_group`
